"""Rows of several lengths generate what each does alone where padding would move them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, DynamicCache, LogitsProcessor

from softprompt.attached.attach import attach
from softprompt.errors import SoftPromptError
from softprompt.methods import Method, PromptTuning

from ..shared.models import ids, padded, tokenizer
from ..shared.prompts import producer
from ..shared.unusual import unusual

METHOD: Method = PromptTuning(num_virtual_tokens=3, init="random_uniform", init_bound=1.0)
ROWS = [ids(6, 1), ids(3, 2), ids(6, 3)]


class Second(LogitsProcessor):
    """Wants another word at each new place, counted from where the call began."""

    def __init__(self) -> None:
        self.first: int | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.first = input_ids.shape[1] if self.first is None else self.first
        scores[:, 20 + input_ids.shape[1] - self.first] += 1e4
        return scores


@pytest.mark.parametrize(
    "options",
    [
        {"max_new_tokens": 4},
        {"max_new_tokens": 4, "num_beams": 3, "num_return_sequences": 2},
        {"max_new_tokens": 3, "use_cache": False},
        {"max_length": 10, "min_length": 8},
        {"max_new_tokens": 3, "logits_processor": [Second()]},
        {"max_new_tokens": 3, "prefix_allowed_tokens_fn": lambda row, _: [30 + row]},
    ],
    ids=["greedy", "beams", "uncached", "lengths", "processor", "allowed"],
)
def test_each_row_generates_what_it_does_alone(options: dict[str, Any]) -> None:
    backbone = unusual("roformer", AutoModelForCausalLM, is_decoder=True)
    batch, mask = padded(ROWS, "left")
    with attach(backbone, tokenizer(), producer(backbone, METHOD)) as prompted:
        together = prompted.generate(batch, attention_mask=mask, do_sample=False, pad_token_id=0, **options)
        times = options.get("num_return_sequences", 1)
        assert together.shape[0] == times * len(ROWS)
        assert torch.equal(together[:, : batch.shape[1]], batch.repeat_interleave(times, 0))
        for place, row in enumerate(ROWS):
            given = dict(options)
            if "max_length" in given:
                given = {"max_new_tokens": 4, "min_new_tokens": 2}
            if "logits_processor" in given:
                given["logits_processor"] = [Second()]
            if "prefix_allowed_tokens_fn" in given:
                given["prefix_allowed_tokens_fn"] = lambda _, __, place=place: [30 + place]
            alone = prompted.generate(row, do_sample=False, pad_token_id=0, **given)[:, row.shape[1] :]
            got = together[place * times : (place + 1) * times, batch.shape[1] :]
            assert got[:, : alone.shape[1]].tolist() == alone.tolist()
            assert not got[:, alone.shape[1] :].any()


@pytest.mark.parametrize(
    ("name", "value"), [("return_dict_in_generate", True), ("past_key_values", DynamicCache()), ("streamer", object())]
)
def test_what_cannot_be_put_together_is_refused(name: str, value: object) -> None:
    backbone = unusual("roformer", AutoModelForCausalLM, is_decoder=True)
    batch, mask = padded(ROWS, "left")
    with attach(backbone, tokenizer(), METHOD) as prompted:
        with pytest.raises(SoftPromptError, match=f"'{name}' with rows of several lengths"):
            prompted.generate(batch, attention_mask=mask, max_new_tokens=2, **{name: value})
        if name == "return_dict_in_generate":
            out = prompted.generate(ROWS[0], max_new_tokens=2, do_sample=False, **{name: value})
            assert out.sequences.shape == (1, 8)
