"""I3: cached == uncached == static cache == full forward passes == a loop of the user's own with a cache."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache, StaticCache

from softprompt.attached.model import PromptedModel
from softprompt.methods import PromptTuning, PTuningV2

from ..shared.models import ids, padded
from ..shared.prompts import attached, close, every_decoder, every_generative, every_method, model, tiny

STEPS = 6
GREEDY = {"max_new_tokens": STEPS, "min_new_tokens": STEPS, "do_sample": False}
ROWS = [ids(7, 1), ids(4, 2)]


@every_generative
@every_method
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_generate(family: str, method: str, attention: str) -> None:
    with tiny(family, method, attention=attention) as prompted:
        batch, mask = padded(ROWS, "left")

        def run(**options: Any) -> Any:
            return prompted.generate(
                batch, attention_mask=mask, return_dict_in_generate=True, output_logits=True, **GREEDY, **options
            )

        cached = run()
        for other in (run(use_cache=False), run(cache_implementation="static")):
            assert other.sequences.tolist() == cached.sequences.tolist()
            for one, two in zip(other.logits, cached.logits, strict=True):
                close(one, two)
        full = full_forwards(prompted, batch, mask, cached.sequences)
        close(full, torch.stack(cached.logits, dim=1))


@torch.no_grad()
def full_forwards(prompted: PromptedModel, batch: Tensor, mask: Tensor, sequences: Tensor) -> Tensor:
    """The logits of each new token from one pass over all that stands before it: `(B, STEPS, V)`."""
    if prompted.anatomy.kind == "encoder-decoder":
        return prompted(input_ids=batch, attention_mask=mask, decoder_input_ids=sequences).logits[:, :STEPS]
    seen = torch.cat([mask, torch.ones(len(batch), STEPS, dtype=mask.dtype)], dim=1)
    asked = torch.zeros_like(seen, dtype=torch.bool)
    asked[:, : batch.shape[1]] = True
    out = prompted(input_ids=sequences, attention_mask=seen, conditioning_mask=asked)
    return out.logits[:, -STEPS - 1 : -1]


@every_decoder
@every_method
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("cache", ["dynamic", "static"])
def test_a_loop_of_the_users_own(family: str, method: str, side: str, cache: str) -> None:
    """A user's mask and cache never speak of virtual tokens."""
    backbone = model(family)
    with attached(backbone, method) as prompted, torch.no_grad():
        batch, mask = padded(ROWS, side)
        new = torch.stack([ids(STEPS + 1, 5)[0, 1:], ids(STEPS + 1, 6)[0, 1:]])
        past = (
            StaticCache(backbone.config, max_cache_len=40)
            if cache == "static"
            else DynamicCache(config=backbone.config)
        )
        out = prompted(input_ids=batch, attention_mask=mask, past_key_values=past, use_cache=True)
        seen, steps = mask, []
        for piece in (new[:, :1], new[:, 1:2], new[:, 2:4], new[:, 4:]):  # tokens one by one and several at once
            seen = torch.cat([seen, torch.ones_like(piece)], dim=1)
            out = prompted(input_ids=piece, attention_mask=seen, past_key_values=out.past_key_values, use_cache=True)
            steps.append(out.logits)
        whole = torch.cat([batch, new], dim=1)
        asked = torch.cat([torch.ones_like(batch), torch.zeros_like(new)], dim=1).bool()
        full = prompted(input_ids=whole, attention_mask=seen, conditioning_mask=asked)
        close(torch.cat(steps, dim=1), full.logits[:, batch.shape[1] :])


@every_decoder
@every_method
def test_a_loop_without_masks(family: str, method: str) -> None:
    with tiny(family, method) as prompted, torch.no_grad():
        text, new = ids(6, 1), ids(5, 2)[:, 1:]
        out = prompted(input_ids=text, use_cache=True)
        for token in new.split(1, dim=1):
            out = prompted(input_ids=token, past_key_values=out.past_key_values, use_cache=True)
        whole = torch.cat([text, new], dim=1)
        asked = torch.arange(whole.shape[1])[None] < text.shape[1]
        close(out.logits[:, -1], prompted(input_ids=whole, conditioning_mask=asked).logits[:, -1])


@every_decoder
@pytest.mark.parametrize("placement", ["front", "after_bos", "end"])
def test_generate_goes_on_from_its_own_cache(family: str, placement: str) -> None:
    """A second turn over the returned cache equals the whole conversation anew."""
    if placement == "end":
        pytest.skip("see test_a_prompt_at_the_end_has_no_second_turn")
    with tiny(family, PromptTuning(num_virtual_tokens=3, init="random_uniform", placement=placement)) as prompted:
        first, second = second_turn(prompted)
        assert first == second


@every_decoder
def test_keys_and_values_go_on_from_a_cache(family: str) -> None:
    with tiny(family, PTuningV2(num_virtual_tokens=3, init_std=1.0)) as prompted:
        first, second = second_turn(prompted)
        assert first == second


def second_turn(prompted: PromptedModel) -> tuple[list[int], list[int]]:
    batch, mask = padded(ROWS, "left")
    turn = prompted.generate(batch, attention_mask=mask, return_dict_in_generate=True, **GREEDY)
    asked = torch.cat([turn.sequences, torch.stack([ids(4, 8)[0, 1:], ids(4, 9)[0, 1:]])], dim=1)
    seen = torch.cat([mask, torch.ones(2, asked.shape[1] - mask.shape[1], dtype=mask.dtype)], dim=1)
    reused = prompted.generate(asked, attention_mask=seen, past_key_values=turn.past_key_values, **GREEDY)
    anew = prompted.generate(asked, attention_mask=seen, **GREEDY)
    return reused.tolist(), anew.tolist()
