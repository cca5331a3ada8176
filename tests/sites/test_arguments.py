"""What the body is called with: what has no place there is told in a line, and what counted the old columns goes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from softprompt.errors import SoftPromptError
from softprompt.sites.arguments import begin

from ..shared.models import ids
from ..shared.prompts import tiny

IDS = torch.cat([ids(5, 1), ids(5, 2)])


def begun(family: str, method: str, given: dict[str, Any]) -> tuple[dict[str, object], Any]:
    """What becomes of a body's arguments, and the call."""
    with tiny(family, method) as prompted, prompted.calling((0, 0)) as call:
        return begin(call, prompted.anatomy, given), call


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "pass input_ids"),
        ({"input_ids": IDS, "past_key_values": ((torch.zeros(1),),)}, "is a tuple: pass a cache"),
        ({"inputs_embeds": torch.zeros(2, 5, 32)}, "pass input_ids, not inputs_embeds"),
        ({"input_ids": IDS, "attention_mask": torch.ones(2, 1, 5, 5)}, r"attention_mask of shape \(batch, tokens\)"),
    ],
)
def test_what_has_no_place_is_told_in_a_line(given: dict[str, Any], why: str) -> None:
    with pytest.raises(SoftPromptError, match=why) as told:
        begun("llama", "prompt_tuning", given)
    assert "\n" not in str(told.value)


def test_a_prompt_that_is_no_part_of_the_sequence_needs_no_ids() -> None:
    with pytest.raises(SoftPromptError, match="called without input_ids"):
        begun("llama", "lora", {})
    changed, call = begun("llama", "lora", {"inputs_embeds": torch.zeros(2, 5, 32)})
    assert "input_ids" not in changed
    assert call.keep is None


@pytest.mark.parametrize("method", ["prompt_tuning", "lora"])
def test_what_counts_columns_goes_where_columns_came(method: str) -> None:
    """Flash attention's own of what it derives from positions; all else is handed on as it is."""
    derived = {"cu_seq_lens_q": torch.tensor([0, 5]), "max_length_q": 5}
    other = object()
    changed, call = begun("llama", method, {"input_ids": IDS, "other": other, **derived})
    assert changed["other"] is other
    assert (call.keep is None) == (derived.keys() <= changed.keys())


def test_what_has_a_value_a_token_moves_with_it() -> None:
    kinds = torch.tensor([[1, 0, 1, 1, 0]] * 2)
    changed, call = begun("bert", "prompt_tuning", {"input_ids": IDS, "token_type_ids": kinds})
    moved, whole = changed["token_type_ids"], changed["input_ids"]
    assert isinstance(moved, torch.Tensor)
    assert isinstance(whole, torch.Tensor)
    assert moved.shape == whole.shape
    assert torch.equal(moved.gather(1, call.keep), kinds)
    assert int(moved.sum()) == int(kinds.sum())
