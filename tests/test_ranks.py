"""As what a process was started, and what a rank that is alone does."""

from __future__ import annotations

import os

import pytest

from softprompt.errors import SoftPromptError
from softprompt.ranks import Launch, Ranks, here, hidden, joined, launched, one_process

ALL = {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "LOCAL_RANK": "0"}


@pytest.fixture
def ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ALL.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("ranked")
def test_what_torchrun_says_is_what_a_process_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launched() == Launch(1, 4, 0)
    with pytest.raises(SoftPromptError, match="adapt: runs in one process, and torchrun started 4"):
        one_process("adapt")
    with hidden():
        assert launched() == Launch()
        one_process("adapt")
    assert {name: os.environ[name] for name in ALL} == ALL
    monkeypatch.setenv("RANK", "one")
    with pytest.raises(SoftPromptError, match="RANK, WORLD_SIZE or LOCAL_RANK is no number"):
        launched()


@pytest.mark.usefixtures("ranked")
@pytest.mark.parametrize("name", [name for name in ALL if name != "LOCAL_RANK"])
def test_who_lacks_a_part_of_it_was_started_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler's own WORLD_SIZE, say, makes no rank."""
    monkeypatch.delenv(name)
    assert launched() == Launch()


def test_a_rank_alone_does_everything_itself() -> None:
    with joined() as ranks:
        assert ranks == here() == Ranks()
        assert ranks.first(lambda: (1, 2)) == (1, 2)
        assert ranks.together(lambda: None) is None
        assert ranks.gathered({"a": 1}) == [{"a": 1}]
        assert ranks.any(True)
        assert not ranks.any(False)
        assert ranks.mine([3, 4, 5]) == [3, 4, 5]


def test_parts_are_everyones_once() -> None:
    rows = list(range(11))
    parts = [Ranks(index, 4).mine(rows) for index in range(4)]
    assert sorted(row for part in parts for row in part) == rows
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
