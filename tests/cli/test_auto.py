"""`softprompt train --method auto`: a run like any other and what was tried beside it; faults are one line each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from softprompt.compare import choosing, shortlist

from ..shared.commands import ask
from ..shared.tables_of_runs import Bench, bench


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench(tmp_path_factory.mktemp("bench"))


def words(own: Bench, out: Path, *more: Any) -> list[Any]:
    data = ["--task", own.folder / "task.yaml", "--data", own.folder / "rows.jsonl"]
    quick = ["--set", "max_steps=2", "--set", "evaluations=1", "--batch-size", 4]
    return ["train", "--method", "auto", "--backbone", own.folder / "llama", *data, *quick, "--out", out, *more]


def test_what_was_tried_stands_beside_the_run(own: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortlist, "MOST", 2)
    monkeypatch.setattr(choosing, "_RATES", {})
    out = tmp_path / "run"
    told = ask(*words(own, out, "--minutes", 60, "--max-bytes", 470), seconds=600)
    assert (told.code, told.raised) == (0, None), told
    assert all(len(line) <= 100 or str(out) in line for line in told.out.splitlines())
    choice = json.loads((out / "auto" / "choice.json").read_text())
    metrics = json.loads((out / "metrics.json").read_text())
    taken = choice["tried"][choice["taken"]]
    assert metrics["method"] == taken["method"]
    assert metrics["stored_bytes"] == taken["stored_bytes"] <= 470
    lines = " ".join(told.out.split())
    assert choice["why"] in lines
    assert all(one["method"] in told.out and f"{one['score']:.3f}" in told.out for one in choice["tried"])
    assert f"the choice: {out / 'auto'}" in told.out
    assert f"{taken['method']} on words, seed 13" in told.out
    assert ask("predict", out, "w20 w21 w30").code == 0

    again = ask("train", "--resume", "--method", "auto", "--out", out, "--json")
    assert again.code == 0, again
    found = json.loads(again.out)
    assert (found["choice"], found["metrics"]) == (choice, metrics)
    refused = ask(*words(own, out))
    assert refused.refused
    assert "holds a run already" in refused.err


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--set", "num_virtual_tokens=3"], "--set num_virtual_tokens: is one method's own, and --method auto is to"),
        (["--set", "method.dropout=0.1"], "--set method.dropout: is one method's own"),
        (["--set", "rnk=3"], "--set rnk: no such option"),
        (["--learning-rate", "0.1"], "learning_rate is one method's own"),
        (["--select", "all"], "--select all: is one method's own"),
        (["--preset", "lester"], "--preset lester: is one method's own"),
        (["--max-bytes", "9"], "max_bytes is 9, and no method stores so little"),
        (["--method", "capt", "--minutes", "3"], "--minutes is of a method that is chosen: give --method auto"),
        (["--method", "capt", "--max-bytes", "300"], "--max-bytes is of a method that is chosen"),
    ],
)
def test_faults_are_a_line_and_nothing_is_begun(own: Bench, tmp_path: Path, more: list[str], line: str) -> None:
    told = ask(*words(own, tmp_path / "out", "--quiet", *more))
    assert told.refused, told
    assert len(told.err.splitlines()) == 1
    assert line in told.err
    assert not (tmp_path / "out").exists()


def test_a_search_says_who_chooses_a_method(own: Bench, tmp_path: Path) -> None:
    data = ["--task", own.folder / "task.yaml", "--data", own.folder / "rows.jsonl"]
    told = ask("search", "--backbone", own.folder / "llama", *data, "--method", "auto", "--out", tmp_path / "out")
    assert told.refused
    assert "it is softprompt train that chooses a method" in told.err
