"""A second table by id is found by what a body asks, and a virtual token is the first word there."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softprompt.attached.attach import attach
from softprompt.backbones.anatomy import read_anatomy
from softprompt.backbones.lookups import second_lookups
from softprompt.errors import SoftPromptError
from softprompt.methods import IDPG, PromptTuning

from ..attacks.attaching import state
from ..shared.models import FAMILIES, ids, model, padded, tokenizer
from ..shared.prompts import close, producer
from ..shared.unusual import unusual

FOUND = {"gemma3n_text": ["Gemma3nTextScaledWordEmbedding"], "deepseek_v4": ["DeepseekV4HashRouter"] * 3}
COUNT = 3


@pytest.mark.parametrize("family", FOUND)
def test_the_second_table_is_found(family: str) -> None:
    backbone = unusual(family)
    before = state(backbone)
    found = read_anatomy(backbone).lookups
    assert [type(one).__name__ for one in found] == FOUND[family]
    assert backbone.get_input_embeddings() not in found
    assert state(backbone) == before


@pytest.mark.parametrize("family", FAMILIES)
def test_most_families_have_none_and_run_no_step_for_it(family: str) -> None:
    part = read_anatomy(model(family))
    assert part.lookups == ()
    long = any(weight.ndim > 1 and weight.shape[0] * 2 >= part.vocab_size for weight in _others(part))
    if not long:
        part.body.forward = None  # type: ignore[method-assign]
        try:
            assert second_lookups(part.body, part.embedding) == ()  # type: ignore[arg-type]
        finally:
            del part.body.forward


def _others(part: Any) -> list[Tensor]:
    tensors = (*part.body.parameters(), *part.body.buffers())
    return [one for one in tensors if one is not part.embedding.weight]


def as_the_first_word(body: Any, vectors: Tensor, row: Tensor) -> Tensor:
    """The bare body, whose input embedding gives other vectors in the place of the first words, all of them id 0."""
    wide = torch.cat([torch.zeros(1, len(vectors), dtype=torch.long), row], 1)

    def give(module: nn.Module, args: Any, output: Any) -> Any:
        first, *rest = output if isinstance(output, tuple) else (output,)
        made = torch.cat([vectors[None], first[:, len(vectors) :]], 1)
        return (made, *rest) if isinstance(output, tuple) else made

    part = read_anatomy(body)
    told = {"position_ids": torch.arange(wide.shape[1])[None] + part.position_offset}
    hook = part.embedding.register_forward_hook(give)
    try:
        return body(input_ids=wide, attention_mask=torch.ones_like(wide), **told).last_hidden_state[:, len(vectors) :]
    finally:
        hook.remove()


@pytest.mark.parametrize("family", [*FOUND, "ibert"])
@torch.no_grad()
def test_a_virtual_token_is_the_first_word_there(family: str) -> None:
    """I-BERT has no such table: its embedding gives a scale behind the vectors, which is handed on."""
    backbone, row = unusual(family), ids(6, 1)
    with attach(backbone, tokenizer(), producer(backbone, PromptTuning(num_virtual_tokens=COUNT))) as prompted:
        got = prompted(input_ids=row, attention_mask=torch.ones_like(row)).last_hidden_state
        vectors = next(prompted.prompts.parameters()).detach()
    close(got, as_the_first_word(backbone, vectors, row))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("family", [*FOUND, "ibert"])
@torch.no_grad()
def test_rows_with_padding_and_several_prompts_stay_apart(family: str, side: str) -> None:
    backbone = unusual(family)
    methods = {"one": PromptTuning(num_virtual_tokens=2), "other": PromptTuning(num_virtual_tokens=3)}
    made = {name: producer(backbone, one) for name, one in methods.items()}
    rows = [ids(6, 1), ids(4, 2)]
    batch, mask = padded(rows, side)
    with attach(backbone, tokenizer(), made) as prompted:
        out = prompted(input_ids=batch, attention_mask=mask, prompts=list(made)).last_hidden_state
        for got, seen, row, name in zip(out, mask, rows, made, strict=True):
            alone = prompted(input_ids=row, attention_mask=torch.ones_like(row), prompts=name).last_hidden_state[0]
            close(got[seen.bool()], alone)


@pytest.mark.parametrize("family", FOUND)
def test_a_first_pass_from_embeddings_alone_is_refused(family: str) -> None:
    with pytest.raises(SoftPromptError, match=f"'{family}' looks ids up beside its embeddings.*prompt_tuning"):
        attach(unusual(family), tokenizer(), IDPG())
