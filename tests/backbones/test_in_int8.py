"""A backbone that is asked to multiply in int8 does where that gains, and says in one line what became of it."""

from __future__ import annotations

import logging
from copy import deepcopy
from typing import Any

import pytest
import torch

from softprompt.backbones import in_int8, int8
from softprompt.backbones.int8 import codes_of, has_int8

from ..shared.models import model

pytestmark = pytest.mark.skipif(not has_int8(), reason="torch was built without oneDNN")


@pytest.mark.parametrize(
    ("times", "device", "dtype", "told"),
    [
        (0.0, "cpu", torch.float32, "no exact int8 products"),
        (0.9, "cpu", torch.float32, "0.9x as fast as in float32"),
        (9.0, "cpu", torch.float16, "the backbone is in float16"),
        (9.0, "cuda", torch.float32, "the backbone is on cuda"),
        (9.0, "cpu", torch.float32, "no linear layer of the backbone is large enough"),
    ],
)
def test_where_nothing_is_gained_one_line_says_why(
    times: float,
    device: str,
    dtype: torch.dtype,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(in_int8, "tried_int8", lambda dtype: times)
    own: Any = deepcopy(model("llama")).to(dtype)
    with caplog.at_level(logging.INFO, "softprompt"):
        in_int8.use_int8(own, torch.device(device))
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("int8 is left out: ")
    assert told in line
    assert not int8.is_int8(own)


def test_where_it_is_gained_one_line_says_what_it_takes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(in_int8, "tried_int8", lambda dtype: 2.0)
    monkeypatch.setattr(int8, "LEAST_WEIGHTS", 0)
    own: Any = deepcopy(model("llama"))
    with caplog.at_level(logging.INFO, "softprompt"):
        in_int8.use_int8(own, torch.device("cpu"))
    assert "2.0x as fast as in float32" in caplog.text
    assert int8.is_int8(own)
    assert codes_of(own.lm_head) is None
