"""Columns that are tokens, and columns that are not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, XLNetConfig

from softprompt.attached.attach import attach
from softprompt.backbones.alignment import is_aligned
from softprompt.backbones.anatomy import read_anatomy
from softprompt.errors import SoftPromptError
from softprompt.methods import CaPT, PromptTuning, PTuningV2

from ..shared.models import FAMILIES, VOCABULARY, model, tokenizer


class InFront(nn.Module):
    """A body that puts two vectors of its own in front of its tokens."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner, self.config = inner, inner.config
        self.layers = inner.layers
        self.own = nn.Parameter(torch.zeros(1, 2, inner.config.hidden_size))

    def get_input_embeddings(self) -> nn.Module:
        embedding: nn.Module = self.inner.get_input_embeddings()
        return embedding

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Any:
        states = self.get_input_embeddings()(input_ids)
        whole = torch.cat([self.own.expand(len(states), -1, -1), states], dim=1)
        return self.inner(inputs_embeds=whole, use_cache=False)


@pytest.mark.parametrize("family", FAMILIES)
def test_families_work_on_their_tokens(family: str) -> None:
    part = read_anatomy(model(family))
    assert is_aligned(part.body, part.embedding, part.layers)  # type: ignore[arg-type]


def test_vectors_in_front_move_the_columns() -> None:
    body: Any = InFront(model("llama").model)
    assert not is_aligned(body, body.get_input_embeddings(), body.layers)
    assert not any(one._forward_pre_hooks for one in body.modules())


@pytest.mark.parametrize("method", [PromptTuning(num_virtual_tokens=2), CaPT(), PTuningV2(num_virtual_tokens=2)])
def test_rows_that_stand_second_are_refused_when_a_prompt_is_attached(method: Any) -> None:
    backbone = AutoModelForCausalLM.from_config(XLNetConfig(vocab_size=VOCABULARY, d_model=32, n_layer=2, n_head=4))
    with pytest.raises(SoftPromptError, match="'xlnet' cannot serve.*not its tokens, one by one; choose another"):
        attach(backbone, tokenizer(), method)
