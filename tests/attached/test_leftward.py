"""Rows that are padded on their right are gone on with as they are alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ..shared.models import ids, padded
from ..shared.prompts import close, every_decoder, tiny


@every_decoder
@pytest.mark.parametrize("method", ["capt", "prompt_tuning", "p_tuning_v2"])
def test_padding_behind_a_text_does_not_stand_before_its_answer(family: str, method: str) -> None:
    rows = [ids(3, 1), ids(6, 2)]
    batch, mask = padded(rows, "right")
    with tiny(family, method) as prompted:
        options: dict[str, Any] = {"max_new_tokens": 4, "do_sample": False, "eos_token_id": None}
        whole = prompted.generate(batch, attention_mask=mask, **options)
        assert torch.equal(whole[:, : batch.shape[1]], batch)
        for row, made in zip(rows, whole, strict=True):
            assert torch.equal(prompted.generate(row, **options)[0, row.shape[1] :], made[batch.shape[1] :])
        told = {"return_dict_in_generate": True, "output_hidden_states": True}
        told = prompted.generate(batch, attention_mask=mask, **options, **told)
        assert torch.equal(told["sequences"], whole)
        states = prompted(input_ids=batch, attention_mask=mask, output_hidden_states=True).hidden_states[-1]
        if told.get("hidden_states"):
            close(told["hidden_states"][0][-1][0, :3], states[0, :3])
