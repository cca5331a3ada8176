"""A body that multiplies what it looks up is told from one that takes vectors as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, FalconH1Config, MarianConfig, PegasusConfig

from softprompt.attached.attach import build
from softprompt.backbones.anatomy import read_anatomy
from softprompt.backbones.given_vectors import scale_of_lookups
from softprompt.errors import SoftPromptError
from softprompt.methods import IDPG
from softprompt.sites.producer import View

from ..shared.models import CORE, HEADS, HIDDEN, PAD, POSITIONS, VOCABULARY, ids, model, tokenizer

_SIDES = {
    "d_model": HIDDEN,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 37,
    "max_position_embeddings": POSITIONS,
    "decoder_start_token_id": PAD,
    "forced_eos_token_id": None,
    "scale_embedding": True,
}
_FALCON_H1 = {
    "hidden_size": HIDDEN,
    "intermediate_size": 37,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "mamba_d_ssm": HIDDEN,
    "mamba_n_heads": 4,
    "mamba_d_head": 8,
    "mamba_d_state": 8,
    "mamba_n_groups": 1,
    "embedding_multiplier": 3.0,
}
SCALED: dict[str, Any] = {
    "marian": (AutoModelForSeq2SeqLM, MarianConfig, _SIDES, HIDDEN**0.5),
    "pegasus": (AutoModelForSeq2SeqLM, PegasusConfig, _SIDES, HIDDEN**0.5),
    "falcon_h1": (AutoModelForCausalLM, FalconH1Config, _FALCON_H1, 3.0),
}


@pytest.mark.parametrize("family", CORE)
def test_most_bodies_take_vectors_as_they_are(family: str) -> None:
    part = read_anatomy(model(family))
    assert scale_of_lookups(part.body, part.embedding) == 1.0


@pytest.mark.parametrize("family", list(SCALED))
def test_a_scale_is_found_and_the_first_pass_has_it(family: str) -> None:
    auto, config, options, scale = SCALED[family]
    torch.manual_seed(0)
    backbone = auto.from_config(config(vocab_size=VOCABULARY, pad_token_id=PAD, **options)).eval()
    part, row = read_anatomy(backbone), ids(6)
    assert scale_of_lookups(part.body, part.embedding) == pytest.approx(scale)
    made = build(backbone, tokenizer(), IDPG(num_virtual_tokens=2))
    seen = torch.ones_like(row, dtype=torch.bool)
    with torch.no_grad():
        plain = part.body(input_ids=row).last_hidden_state
        view = View(part.embedding(row), torch.zeros(1, 0, dtype=torch.long), seen)
        torch.testing.assert_close(made.first_pass(view)[0], plain, rtol=1e-4, atol=1e-4)


def test_a_body_that_does_something_else_has_no_first_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = model("llama", layers=2)
    body, own = backbone.model, type(backbone.model).forward

    def forward(self: Any, input_ids: Any = None, inputs_embeds: Any = None, **kwargs: Any) -> Any:
        moved = None if inputs_embeds is None else inputs_embeds + 1
        return own(self, input_ids=input_ids, inputs_embeds=moved, **kwargs)

    monkeypatch.setattr(type(body), "forward", forward)
    body.config.told_apart = True  # what was found of it before holds no longer
    try:
        with pytest.raises(SoftPromptError, match=r"'llama' makes something else .*: take a method without one, such"):
            build(backbone, tokenizer(), IDPG(num_virtual_tokens=2))
    finally:
        del body.config.told_apart
