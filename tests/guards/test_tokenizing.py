"""Tokenizers are asked by one thread at a time."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

import softprompt as sp
from softprompt.guards.tokenizing import token_ids
from softprompt.methods import PromptTuning

from ..attacks.threads import together
from ..shared.models import model
from ..shared.prompts import fails, tiny


def test_without_a_tokenizer_no_text_is_read() -> None:
    nothing: Any = None
    with fails("there is none: give the backbone's beside the model"):
        token_ids(nothing, "w6")
    with sp.attach(model("llama"), None, PromptTuning(num_virtual_tokens=2)) as prompted, fails("there is none"):
        prompted.encode(["w6"])


def test_a_tokenizer_that_fails_is_told() -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"w5": 0})))
    with fails("the tokenizer fails at 'w6': .*UNK"):
        token_ids(bare, "w6")


def test_texts_are_encoded_as_if_alone() -> None:
    long = " ".join(f"w{index}" for index in range(10, 40))
    with tiny("llama", "capt") as prompted:
        asks = [{}, {"truncation": True, "max_length": 5}, {"padding": "max_length", "max_length": 40}]
        wanted = [prompted.encode([long, "w6"], **options)["input_ids"] for options in asks]
        same: list[bool] = []

        def encode(index: int) -> None:
            found = (prompted.encode([long, "w6"], **asks[index])["input_ids"] for _ in range(50))
            same.extend(torch.equal(one, wanted[index]) for one in found)

        faults: list[BaseException] = []
        assert together([partial(encode, index) for index in (0, 1, 2, 0, 1, 2)], faults) == 0
    assert (same, faults) == ([True] * 300, [])
