"""`softprompt search`: what is found stands beside the default, a search goes on, and faults are one line each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..shared.commands import ask
from ..shared.tables_of_runs import Bench, bench, outcome


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench(tmp_path_factory.mktemp("bench"))


def words(own: Bench, out: Path, *more: Any) -> list[Any]:
    data = ["--task", own.folder / "task.yaml", "--data", own.folder / "rows.jsonl"]
    quick = ["--set", "max_steps=4", "--set", "evaluations=1", "--set", "batch_size=4", "--workers", 1]
    method = ["--method", "prompt_tuning", "--seeds", "1,2"]
    return ["search", "--backbone", own.folder / "llama", *data, *method, *quick, "--out", out, *more]


@pytest.mark.slow  # kills and stops are tested in compare/test_search.py, in one process
def test_a_search_goes_on_and_tells_what_it_found(own: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    searched = ["--over", "num_virtual_tokens=1,3", "--over", "learning_rate=1e-3..1:log"]
    told = ask(*words(own, out, *searched, "--trials", 2, "--folds", 2), seconds=600)
    assert (told.code, told.raised) == (0, None), told
    assert "trial 0: the default, measured on 2 folds that are held out in turn" in told.err
    assert "searched: num_virtual_tokens=1,3, learning_rate=0.001..1:log" in told.err
    record = json.loads((out / "search.json").read_text())
    trials = list((out / "trials").iterdir())
    assert len(trials) == 4
    before = {path: outcome(path) for path in trials}
    assert [arm["seeds"] for arm in record["arms"]] == [[1, 2]] * len(record["arms"])
    assert record["arms"][0]["name"] == "default"

    # As if the other trial were better by far: what is taken is then trained on all seeds, and its options are new.
    import softprompt.compare.search as searching
    from softprompt.compare.choice import Choice

    monkeypatch.setattr(searching, "chosen", lambda scores: Choice(2, 2, 0.5, 0.1))
    again = ask(*words(own, out, *searched, "--trials", 3, "--folds", 2, "--json"), seconds=600)
    assert again.code == 0, again
    found = json.loads(again.out)
    assert found["trials"][:2] == record["trials"]
    assert (len(found["trials"]), found["taken"]) == (3, 2)
    assert {path: outcome(path) for path in trials} == before
    default, taken = found["arms"]
    assert default == record["arms"][0]
    assert taken["values"] == found["trials"][2]["values"]
    runs = [json.loads(path.read_text()) for path in out.glob("cells/*/metrics.json")]
    ours = [one for one in runs if one["options"]["training"]["learning_rate"] == taken["values"]["learning_rate"]]
    assert {str(one["options"]["method"]["num_virtual_tokens"]) for one in ours} == {
        taken["values"]["num_virtual_tokens"]
    }
    assert sorted(one["test"]["accuracy"] for one in ours) == sorted(taken["test"])
    assert len(runs) == 4


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--over", "learning_rate=1..0.1"], "--over learning_rate: the range '1..0.1' is empty"),
        (["--over", "lerning_rate=1..2"], "no such option; did you mean 'learning_rate'?"),
        (["--set", "rnk=4"], "no such option"),
        (["--method", "cpat"], "did you mean 'capt'?"),
        (["--seeds", "x"], "--seeds 'x': give whole numbers"),
        (["--store", "s3://bucket"], "--store is of a cluster: give --on ray with it"),
    ],
)
def test_faults_are_a_line_and_nothing_is_begun(own: Bench, tmp_path: Path, more: list[str], line: str) -> None:
    told = ask(*words(own, tmp_path / "out", *more))
    assert (told.code, told.raised) == (1, None)
    assert len(told.err.splitlines()) == 1
    assert line in told.err
    assert not (tmp_path / "out").exists()


def test_bad_rows_are_left_out_where_it_is_asked_and_told(own: Bench, tmp_path: Path) -> None:
    """The search goes no further here, for its range is none."""
    bad = tmp_path / "bad.jsonl"
    bad.write_text((own.folder / "rows.jsonl").read_text() + json.dumps({"text": "w99"}) + "\n")
    asked = [*words(own, tmp_path / "out", "--over", "nosuch=1,2"), "--data", bad]
    assert "or leave such rows out: skip_bad=True, --skip-bad" in ask(*asked).err
    note, fault = ask(*asked, "--skip-bad").err.splitlines()
    assert note.startswith("note: words: bad.jsonl: left out 1 bad row: line 41: ")
    assert "nosuch" in fault


def test_without_optuna_it_says_what_to_install(own: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softprompt.cli.search.find_spec", lambda name: None)
    told = ask(*words(own, tmp_path / "out"))
    assert told.refused
    assert "pip install 'softprompt[search]'" in told.err
