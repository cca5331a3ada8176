"""Checkpoints of a run that is not finished, of one stage and of several, whole or being written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import softprompt.studio.under_way as reading
from softprompt.studio.under_way import Checkpoints, UnderWay

from ..shared.studios import HISTORY, going


def under_way(run: Path) -> UnderWay:
    return Checkpoints().under_way(run)


def test_the_last_checkpoint_counts(tmp_path: Path) -> None:
    going(going(tmp_path / "run", HISTORY[:2], 9), HISTORY[:4], 18)
    found = under_way(tmp_path / "run")
    assert (found.step, found.steps, len(found.history)) == (18, 40, 4)


def test_stages_follow_one_another(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for number, (stage, length) in enumerate((("search", 2), ("final", 3))):
        going(tmp_path / stage, HISTORY[:length], 9)
        shutil.copytree(tmp_path / stage / "state", run / "state" / stage)
        os.utime(run / "state" / stage / "checkpoint-9", (number, number))
    assert [one["step"] for one in under_way(run).history] == [0, 1, 0, 1, 2]


def test_a_checkpoint_that_is_taken_away_meanwhile_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, scan = going(going(tmp_path / "run", HISTORY[:2], 9), HISTORY, 18), os.scandir

    def gone(path: Any) -> Any:
        if str(path).endswith("checkpoint-9"):
            raise FileNotFoundError(path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", gone)
    assert under_way(run).step == 18


def test_what_is_being_written_is_passed_over(tmp_path: Path) -> None:
    run = going(tmp_path / "run", HISTORY, 9)
    (run / "state" / "checkpoint-9" / "state.json").write_text('{"history": [')
    (run / "state" / "checkpoint-later").mkdir()
    assert under_way(run) == UnderWay()
    assert under_way(tmp_path / "nothing") == UnderWay()


def test_what_has_not_changed_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, read, own = going(tmp_path / "run", HISTORY[:2], 9), [], reading.read_document
    monkeypatch.setattr(reading, "read_document", lambda path, **most: read.append(path.name) or own(path, **most))
    checkpoints = Checkpoints()
    for change, expected, times in (
        (lambda: None, 9, 2),
        (lambda: None, 9, 0),
        (lambda: going(run, HISTORY, 18), 18, 2),  # another checkpoint
        (lambda: None, 18, 0),
        (lambda: going(run, HISTORY[:3], 18, 99), 18, 2),  # the same one, written anew
        (lambda: shutil.rmtree(run / "state" / "checkpoint-18"), 9, 2),
        (lambda: (run / "state" / "checkpoint-9" / "state.json").write_text("{"), None, 1),
        (lambda: None, None, 0),
    ):
        read.clear()
        change()
        found = checkpoints.under_way(run)
        assert (found.step, len(read)) == (expected, times)
        assert found == under_way(run)
