"""I17: what holds of most families holds of unusual ones: checkpoints, compiling, states and maps that are asked for.

LFM2 has convolutions beside its attention, MobileBERT embeddings of three words at once and bottlenecks, ALBERT one
layer that runs again and again.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from softprompt.attached.attach import attach
from softprompt.methods import CaPT, Method, PromptTuning, PTuningV2

from ..shared.models import ids, padded, tokenizer
from ..shared.prompts import close, producer
from ..shared.unusual import unusual

FAMILIES: dict[str, Any] = {
    "lfm2": AutoModelForCausalLM,
    "mobilebert": AutoModelForMaskedLM,
    "albert": AutoModelForMaskedLM,
}
METHODS: dict[str, Method] = {
    "prompt_tuning": PromptTuning(num_virtual_tokens=3),
    "capt": CaPT(),
    "p_tuning_v2": PTuningV2(num_virtual_tokens=3, init_std=1.0),
}
every_pair = pytest.mark.parametrize(("family", "method"), [(f, m) for f in FAMILIES for m in METHODS])
BATCH, SEEN = padded([ids(7, 1), ids(4, 2)], "right")


def prompted_of(family: str, method: str, attention: str | None = None) -> Any:
    backbone = unusual(family, FAMILIES[family], attention=attention)
    return attach(backbone, tokenizer(), producer(backbone, METHODS[method]))


def gradients(prompted: Any) -> list[Tensor]:
    trained = [one for one in prompted.parameters() if one.requires_grad]
    labels = torch.where(SEEN.bool(), BATCH, -100)
    loss = prompted(input_ids=BATCH, attention_mask=SEEN, labels=labels).loss
    return [loss.detach(), *torch.autograd.grad(loss, trained)]


@every_pair
def test_checkpoints_change_no_gradient(family: str, method: str) -> None:
    with prompted_of(family, method) as prompted:
        prompted.train()
        off = gradients(prompted)
        if not prompted.backbone.supports_gradient_checkpointing:
            pytest.skip("transformers has no checkpoints for it")
        prompted.activation_checkpointing_enable()
        try:
            on = gradients(prompted)
        finally:
            prompted.backbone.activation_checkpointing_disable()
        for one, two in zip(on, off, strict=True):
            close(one, two)
        assert any(bool(one.abs().max() > 0) for one in off[1:])


@every_pair
@torch.no_grad()
def test_states_and_maps_that_are_asked_for_change_nothing(family: str, method: str) -> None:
    with prompted_of(family, method, attention="eager") as prompted:
        plain = prompted(input_ids=BATCH, attention_mask=SEEN)
        shown = prompted(input_ids=BATCH, attention_mask=SEEN, output_hidden_states=True, output_attentions=True)
        bare = prompted.backbone(input_ids=BATCH, attention_mask=SEEN, output_hidden_states=True)
        close(shown.logits, plain.logits)
        assert [one.shape for one in shown.hidden_states] == [one.shape for one in bare.hidden_states]
        assert {one.shape[:2] for one in shown.attentions if one is not None} == {(2, 4)}


@pytest.mark.no_cover
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning:torch")
@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_a_compiled_model_gives_the_same(family: str) -> None:
    torch._dynamo.reset()
    rows = torch.cat([ids(6, 1), ids(6, 2)])  # of one length: padding moves MobileBERT's
    with prompted_of(family, "prompt_tuning") as prompted:
        expected = prompted(input_ids=rows, attention_mask=torch.ones_like(rows)).logits
        compiled = torch.compile(prompted, backend="eager", fullgraph=True)
        close(compiled(input_ids=rows, attention_mask=torch.ones_like(rows)).logits, expected)
