"""A line a run: what is damaged, of another version or absent says so, and the others stand as they are."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from softprompt.files.manifest import sealed
from softprompt.studio.listing import SCHEMA, Line, Listing, held
from softprompt.studio.places import Root
from softprompt.training import finished
from softprompt.training.hold import hold_folder

from ..shared.run_folders import cell, diverged
from ..shared.studios import HISTORY, going


def lines(folder: Path) -> dict[str, Line]:
    return {line.name: line for line in Listing(Root(folder)).lines()}


def test_it_reads_the_version_that_training_writes() -> None:
    assert finished.SCHEMA == SCHEMA


def test_a_finished_run_has_its_score_and_costs(tmp_path: Path) -> None:
    cell(tmp_path / "table" / "cells" / "one", "capt", 13, [1, 1, 1, 0], backbone=str(tmp_path))
    found = lines(tmp_path)["table/cells/one"]
    assert (found.state, found.fault, found.method, found.seed) == ("finished", "", "capt", 13)
    assert (found.value, found.interval, found.trained, found.stored) == (0.75, (0.25, 0.75), 1234, 5678)
    assert found.answers


def test_what_cannot_be_read_is_one_line_and_takes_nothing_along(tmp_path: Path) -> None:
    cell(tmp_path / "whole", backbone=str(tmp_path))
    cell(tmp_path / "absent", backbone="./gone")
    diverged(cell(tmp_path / "diverged"))
    for name in ("cut", "newer", "lacking", "changed"):
        cell(tmp_path / name)
    metrics = {name: tmp_path / name / "metrics.json" for name in ("cut", "newer", "lacking", "changed")}
    metrics["cut"].write_text(metrics["cut"].read_text()[:40])
    told = {key: one for key, one in json.loads(metrics["newer"].read_text()).items() if key != "sha256"}
    metrics["newer"].write_text(json.dumps(sealed({**told, "schema_version": 9})))
    metrics["lacking"].write_text(json.dumps(sealed({key: told[key] for key in told if key != "task"})))
    metrics["changed"].write_text(metrics["changed"].read_text().replace("prompt_tuning", "capt"))
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "run.json").write_text("[]")
    found = lines(tmp_path)
    assert found["whole"].state == "finished"
    for name, words in {
        "cut": "cannot be read as JSON",
        "newer": "schema_version: 9, but this version reads 1: update softprompt",
        "lacking": "task: Field required",
        "changed": "differs from what was written",
        "begun": "holds no JSON object",
        "absent": "backbone ./gone is not here",
        "diverged": "its loss was not finite",
    }.items():
        assert words in found[name].fault
        assert "\n" not in found[name].fault
        assert not found[name].answers
    assert found["absent"].state == "finished"
    assert {name for name, line in found.items() if line.state == "broken"} == {
        "cut",
        "newer",
        "lacking",
        "changed",
        "begun",
    }


def test_a_run_under_way_tells_how_far_it_has_come_and_whether_somebody_is_at_it(tmp_path: Path) -> None:
    run = going(tmp_path / "run", HISTORY[:3], 20)
    listing = Listing(Root(tmp_path))
    assert listing.line("run").state == "stopped"
    with hold_folder(run):
        assert held(run)
        line = listing.line("run")
        going(run, HISTORY, 40)
        later = listing.line("run")
    assert (line.state, line.value, line.under_way and line.under_way.step) == ("training", 0.6, 20)
    assert (later.value, later.under_way and later.under_way.step, len(later.history)) == (0.7, 40, 5)
    assert not held(run)


def test_looking_does_not_keep_a_training_from_its_folder(tmp_path: Path) -> None:
    going(tmp_path / "run", HISTORY, 20)
    Listing(Root(tmp_path)).lines()
    with hold_folder(tmp_path / "run") as fresh:
        assert not fresh


def test_a_file_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    listing = Listing(Root(tmp_path))
    assert listing.lines() == []
    run = going(tmp_path / "run", HISTORY, 20)
    assert [line.state for line in listing.lines()] == ["stopped"]
    cell(tmp_path / "other", backbone=str(tmp_path))
    (run / "metrics.json").write_bytes((tmp_path / "other" / "metrics.json").read_bytes())
    assert [line.state for line in listing.lines()] == ["finished", "finished"]


def test_what_is_gone_is_let_go_of(tmp_path: Path) -> None:
    listing = Listing(Root(tmp_path))
    for name in ("one", "other"):
        going(tmp_path / name, HISTORY, 20)
    assert len(listing.lines()) == 2
    shutil.rmtree(tmp_path / "one")
    assert [line.name for line in listing.lines()] == ["other"]
    assert [*listing._known] == [*listing._checkpoints._known] == [tmp_path / "other"]


def test_two_pages_may_find_at_a_time_that_runs_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = Listing(Root(tmp_path))
    for name in ("one", "other"):
        going(tmp_path / name, HISTORY, 20)
    listing.lines()
    for name in ("one", "other"):
        shutil.rmtree(tmp_path / name)
    second = threading.Thread(target=listing.lines)

    def forget(run: Path) -> None:
        if second.ident is None:
            second.start()
            second.join(0.2)  # it waits or, where nothing keeps it from it, lets go of the same runs

    monkeypatch.setattr(listing._checkpoints, "forget", forget)
    assert listing.lines() == []
    second.join()


@pytest.mark.parametrize("module", ["app", "server"])
def test_no_torch_is_imported_before_a_question(module: str) -> None:
    code = f"import softprompt.studio.{module}, sys; print({{'torch', 'transformers', 'scipy'}} & {{*sys.modules}})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
