"""Trials in Optuna's journal: each is proposed once, whatever happens, and other tools can read them."""

from __future__ import annotations

import warnings
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from softprompt.compare.ranges import Range
from softprompt.compare.study import Trial, Trials
from softprompt.errors import SoftPromptError
from softprompt.files.places import JOURNAL

RANGES = (
    Range("learning_rate", "training", 0.001, 1.0, log=True),
    Range("num_virtual_tokens", "method", 1, 40),
    Range("init", "method", choices=("random", "none")),
)


def begun(folder: Path) -> Trials:
    trials = Trials(folder, 3, {"task": "words"})
    if not trials.all:
        trials.add_default(RANGES, Trial(0, {"learning_rate": 0.03}, (0.5, 0.6), 12.0))
    return trials


def test_what_is_proposed_follows_from_what_was_told_and_not_from_when_it_was_stopped(tmp_path: Path) -> None:
    (tmp_path / "stopped").mkdir()
    trials = begun(tmp_path)
    for number in range(1, 12):
        one = trials.ask(RANGES)
        assert one.number == number
        trials.tell(number, [number / 20], 1.0)
        again = begun(tmp_path / "stopped")
        asked = again.ask(RANGES)
        assert begun(tmp_path / "stopped").all[-1] == asked  # stands as running, with its values
        again = begun(tmp_path / "stopped")
        again.tell(number, [number / 20], 1.0)
    assert begun(tmp_path / "stopped").all == trials.all
    assert all(isinstance(one.values["num_virtual_tokens"], int) for one in trials.all[1:])


def test_every_trial_keeps_what_its_folds_came_to(tmp_path: Path) -> None:
    trials = begun(tmp_path)
    trials.ask(RANGES)
    trials.tell(1, [0.25, 0.75], 3.5)
    trials.ask(RANGES)
    trials.tell(2, [], 0.5, "it cannot be")
    default, good, bad = begun(tmp_path).all
    assert (default.values, default.scores, default.seconds) == ({"learning_rate": 0.03}, (0.5, 0.6), 12.0)
    assert (good.scores, good.mean, good.seconds) == ((0.25, 0.75), 0.5, 3.5)
    assert (bad.scores, bad.line) == ((), "it cannot be")


def test_a_trial_that_is_cut_keeps_what_its_curve_came_to(tmp_path: Path) -> None:
    """Optuna has it as pruned, with the value at the rung; a kill between the two lines of it changes nothing."""
    trials = begun(tmp_path)
    trials.ask(RANGES)
    trials.report(1, 0.25, 4.0)
    whole = (tmp_path / JOURNAL).read_bytes()
    for lines in (0, 1, 2):
        (tmp_path / JOURNAL).write_bytes(whole)
        running = begun(tmp_path)
        assert (running.all[1].scores, running.all[1].early, running.all[1].cut) == (None, 0.25, False)
        running.cut(1)
        written = (tmp_path / JOURNAL).read_bytes()[len(whole) :].splitlines(keepends=True)
        (tmp_path / JOURNAL).write_bytes(whole + b"".join(written[:lines]))
        again = begun(tmp_path)
        if not again.all[1].cut:
            again.cut(1)
        assert again.all[1] == Trial(1, again.all[1].values, (), 4.0, early=0.25, cut=True)
        storage = JournalStorage(JournalFileBackend(str(tmp_path / JOURNAL)))
        kept = optuna.load_study(study_name="softprompt", storage=storage).trials[1]
        assert (kept.state, kept.value) == (optuna.trial.TrialState.PRUNED, 0.25)
    other = begun(tmp_path).ask(RANGES)
    trials.report(other.number, None, 1.0)
    trials.tell(other.number, [0.5], 2.0)
    assert begun(tmp_path).all[2].early is None


def test_optuna_reads_the_journal_by_itself(tmp_path: Path) -> None:
    trials = begun(tmp_path)
    trials.ask(RANGES)
    trials.tell(1, [0.75], 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        storage = JournalStorage(JournalFileBackend(str(tmp_path / JOURNAL)))
    study = optuna.load_study(study_name="softprompt", storage=storage)
    assert [one.value for one in study.trials] == [0.55, 0.75]
    assert study.best_trial.number == 1
    assert not (tmp_path / f"{JOURNAL}.lock").is_symlink()


def test_a_line_that_was_cut_off_is_taken_back(tmp_path: Path) -> None:
    trials = begun(tmp_path)
    trials.ask(RANGES)
    whole = (tmp_path / JOURNAL).read_bytes()
    before = trials.all
    for cut in (whole + b'{"op', whole + b"{"):
        (tmp_path / JOURNAL).write_bytes(cut)
        assert begun(tmp_path).all == before
        assert (tmp_path / JOURNAL).read_bytes() == whole


@pytest.mark.parametrize("place", range(0, 9, 2))
def test_a_damaged_journal_is_told(tmp_path: Path, place: int) -> None:
    trials = begun(tmp_path)
    trials.ask(RANGES)
    trials.tell(1, [0.75], 1.0)
    lines = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    broken = [*lines[:place], b"\x00\xff\n", *lines[place + 1 :]]
    (tmp_path / JOURNAL).write_bytes(b"".join(broken))
    with pytest.raises(SoftPromptError, match="the journal is damaged: restore it, or choose another --out"):
        begun(tmp_path)
