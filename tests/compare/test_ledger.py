"""The ledger is a memory: it outlives a damage and a full disk, and never takes another cell for this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.compare.ledger import LEDGER, Ledger, Outcome
from softprompt.errors import SoftPromptError

DONE = Outcome(digest="a", state="done", metric="accuracy", value=0.5, seconds=1.5)


def test_an_outcome_is_of_its_digest_alone(tmp_path: Path) -> None:
    said: list[str] = []
    Ledger(tmp_path, said.append).note("one", DONE)
    again = Ledger(tmp_path, said.append)
    assert (again.outcome("one", "a"), again.outcome("one", "b"), again.outcome("two", "a")) == (DONE, None, None)
    assert said == []


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"cells": {"one": {"state": "lost"}}}', '{"cels": {}}'])
def test_a_damaged_one_is_kept_aside(damage: str, tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_text(damage)
    said: list[str] = []
    ledger = Ledger(tmp_path, said.append)
    assert len(said) == 1
    assert "made again" in said[0]
    assert [path.read_text() for path in tmp_path.iterdir()] == [damage]
    ledger.note("one", DONE)
    assert Ledger(tmp_path, said.append).outcome("one", "a") == DONE
    assert len(said) == 1


def test_a_disk_that_is_full_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise SoftPromptError("compare.json: cannot be written (No space left on device); free space")

    monkeypatch.setattr("softprompt.compare.ledger.write_json", full)
    said: list[str] = []
    ledger = Ledger(tmp_path, said.append)
    ledger.note("one", DONE)
    ledger.note("two", DONE)
    assert ledger.outcome("two", "a") == DONE
    assert len(said) == 1
    assert "No space left" in said[0]
