"""What belongs to the process is one training's alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from softprompt.errors import SoftPromptError
from softprompt.training.process import alone, reproducible, whole_seed

from ..attacks.threads import together


def test_two_trainings_in_one_process() -> None:
    refused: list[BaseException] = []

    def train() -> None:
        with alone():
            pass

    with alone(), alone():  # one thread may nest them
        assert together([train], refused) == 0
    assert [type(one) for one in refused] == [SoftPromptError]
    assert "another thread of this process is training" in str(refused[0])
    assert together([train], refused) == 0
    assert len(refused) == 1


@pytest.mark.parametrize("seed", ["13", 1.5, -1, 1 << 32, None])
def test_a_seed_that_is_none_is_told_in_a_line(seed: Any) -> None:
    with pytest.raises(SoftPromptError, match=r"seed .*: give a whole number from 0 to 4,294,967,295"):
        whole_seed(seed)


def test_a_seed_may_be_numpys() -> None:
    found = whole_seed(np.int64(13))
    assert (found, type(found)) == (13, int)


def test_the_callers_chance_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the GPUs, too, whose states `torch.manual_seed` sets with the CPU's."""
    back: list[object] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: ["one", "two"])
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", back.append)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: None)
    before = torch.get_rng_state()
    with reproducible(3, None):
        torch.rand(3)
        assert back == []
    assert torch.equal(torch.get_rng_state(), before)
    assert back == [["one", "two"]]
