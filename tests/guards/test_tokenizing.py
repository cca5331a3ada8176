"""Tokenizers are asked by one thread at a time."""

from __future__ import annotations

from functools import partial

import torch

from ..attacks.threads import together
from ..shared.prompts import tiny


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
