"""Options of `generate` that virtual tokens leave no room for."""

from __future__ import annotations

import pytest
import torch
from transformers import GenerationConfig, StaticCache

from ..shared.models import ids, tokenizer
from ..shared.prompts import fails, tiny


@pytest.mark.parametrize(
    "given", [{"token_healing": True}, {"generation_config": GenerationConfig(token_healing=True)}]
)
def test_healed_tokens(given: dict[str, object]) -> None:
    with tiny("llama", "prompt_tuning") as prompted, fails("cannot take 'token_healing' with virtual tokens"):
        prompted.generate(ids(4), max_new_tokens=2, tokenizer=tokenizer(), **given)


def test_a_static_cache_has_room_for_virtual_tokens_too() -> None:
    with tiny("llama", "prompt_tuning") as prompted, torch.no_grad():
        added, options = prompted.slots[0].count, {"max_new_tokens": 3, "do_sample": False, "eos_token_id": None}
        expected = prompted.generate(ids(4), **options)
        room = 4 + added + 3 - 1  # the last token is not read again

        def generated(columns: int) -> torch.Tensor:
            cache = StaticCache(config=prompted.config, max_cache_len=columns)
            return prompted.generate(ids(4), past_key_values=cache, **options)

        assert torch.equal(generated(room), expected)
        with fails(f"room for {room - 1} columns, and {room} are needed, {added} of them for virtual tokens"):
            generated(room - 1)
