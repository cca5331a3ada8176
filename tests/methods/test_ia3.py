"""IA3 equals PEFT's own on a copy of the model, at the modules of the paper."""

from __future__ import annotations

from typing import Any

import peft
import pytest
import torch
from transformers import MixtralConfig, MixtralForCausalLM

from softprompt.attached.attach import attach, build
from softprompt.errors import SoftPromptError
from softprompt.methods import IA3
from softprompt.sites.producer import Producer

from ..shared.by_modules import copied, path_in
from ..shared.models import HEADS, HIDDEN, LAYERS, ids, model, padded, tokenizer
from ..shared.prompts import TARGET, close, every_family, logits

EXAMPLES = {"ia3": {"method": "ia3"}}

# PEFT asks transformers for a name that this deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

ROWS = [ids(7, 1), ids(4, 2)]
FEED = 37  # the tiny models' feed-forward width


def moved(family: str) -> Producer:
    made = build(model(family), tokenizer(), IA3())
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for vector in made.parameters():
            vector.add_(torch.randn(vector.shape, generator=generator) * 0.5)
    return made


def from_peft(family: str, made: Any) -> Any:
    copy = copied(family)
    paths = {path: path_in(copy, path) for path in made.places}
    fed = [at for path, at in paths.items() if path.endswith(("wo", "fc2", "down_proj", "mlp.c_proj", "ffn_output"))]
    if family in ("bert", "roberta"):
        fed = [at for path, at in paths.items() if path.endswith("output.dense")]
    transposed = {"fan_in_fan_out": True} if family == "gpt2" else {}
    config = peft.IA3Config(target_modules=list(paths.values()), feedforward_modules=fed, **transposed)
    wrapped = peft.get_peft_model(copy, config).eval()
    tensors = {f"base_model.model.{at}.ia3_l": made.stored()[f"{path}.ia3_l"] for path, at in paths.items()}
    loaded = peft.set_peft_model_state_dict(wrapped, tensors)
    assert not loaded.unexpected_keys
    assert not [key for key in loaded.missing_keys if "ia3_" in key]
    return wrapped


@every_family
def test_it_is_pefts(family: str) -> None:
    made = moved(family)
    reference = from_peft(family, made)
    extra = {"decoder_input_ids": TARGET} if family in ("t5", "bart") else {}
    with torch.no_grad(), attach(model(family), tokenizer(), made) as prompted:
        for row, found in zip(ROWS, logits(prompted, *padded(ROWS, "left")), strict=True):
            close(found, reference(input_ids=row, **extra).logits[0], 1e-5)


@pytest.mark.parametrize("family", ["t5", "llama", "gpt2"])
def test_the_modules_are_pefts_where_its_table_follows_the_paper(family: str) -> None:
    wrapped = peft.get_peft_model(
        copied(family), peft.IA3Config(**({"fan_in_fan_out": True} if family == "gpt2" else {}))
    )
    theirs = {name.removeprefix("base_model.model.") for name in wrapped.targeted_module_names}
    assert {path_in(model(family), path) for path in moved(family).places} == theirs


@every_family
def test_training_starts_from_the_backbone(family: str) -> None:
    row, extra = ids(6), {"decoder_input_ids": TARGET} if family in ("t5", "bart") else {}
    with torch.no_grad(), attach(model(family), tokenizer(), IA3()) as prompted:
        found = logits(prompted, row)[0]
        prompted.detach()
        assert torch.equal(found, model(family)(input_ids=row, **extra).logits[0])


def test_the_published_count() -> None:
    keys = HIDDEN // HEADS * 2
    for family, expected in (("bert", 2 * HIDDEN + FEED), ("llama", 2 * keys + FEED)):
        assert sum(p.numel() for p in build(model(family), tokenizer(), IA3()).parameters()) == LAYERS * expected
    cross = 2 * (2 * HIDDEN + 2 * HIDDEN + FEED)  # T5's two decoder layers
    assert sum(p.numel() for p in moved("t5").parameters()) == LAYERS * (2 * HIDDEN + FEED) + cross


def test_a_mixture_of_experts_is_refused() -> None:
    config = MixtralConfig(
        vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, num_local_experts=2,
    )  # fmt: skip
    with pytest.raises(SoftPromptError, match="'mixtral': its layers have no single key, value and feed-forward"):
        attach(MixtralForCausalLM(config), tokenizer(), IA3())
