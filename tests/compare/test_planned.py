"""What a plan names is looked for: its cells, what makes each of them another, and every fault before anything runs."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from softprompt.compare.cells import LoadedTasks
from softprompt.compare.plan import PlanFaults

from ..shared.tables_of_runs import Bench


def test_every_cell_once_seed_by_seed(own: Bench, tmp_path: Path) -> None:
    found = own.planned(tmp_path, methods=["capt", {"name": "lora", "set": {"rank": 4}}], shots=[2, 4], seeds=[1, 2])
    wanted = itertools.product((1, 2), (2, 4), ("capt", "lora"))
    assert [(cell.seed, cell.shots, cell.method) for cell in found.cells] == list(wanted)
    assert found.cells[3].name == "words-lora,rank=4-llama-4shots-1"
    assert found.cells[3].folder == str(tmp_path / "cells" / found.cells[3].name)
    assert found.cells[3].method_options == {"rank": 4}
    assert {cell.name: tuple(found.rows[cell.name][:2]) for cell in found.cells if cell.seed == 1} == {
        cell.name: (2 * cell.shots, 2 * cell.shots) for cell in found.cells if cell.shots and cell.seed == 1
    }
    assert len(set(found.digests.values())) == len(found.cells)


def test_a_digest_changes_with_whatever_makes_another_run(own: Bench, tmp_path: Path) -> None:
    def digests(**changes: Any) -> set[str]:
        return set(own.planned(tmp_path, **{"methods": ["capt"], "seeds": [1], **changes}).digests.values())

    assert digests() == digests()
    rows = own.folder / "others.jsonl"
    lines = (own.folder / "rows.jsonl").read_text().splitlines()
    rows.write_text("\n".join([*lines[:-1], json.dumps({"text": "w99", "label": "1"})]) + "\n")
    others = [
        {"methods": [{"name": "capt", "set": {"epochs": 3}}]},
        {"methods": [{"name": "capt", "set": {"select": "first:1"}}]},
        {"methods": [{"preset": "capt-paper"}]},
        {"seeds": [2]},
        {"max_test_rows": 2},
        {"tasks": [{**own.document["tasks"][0], "data": str(rows)}]},
    ]
    found = [digests(**one) for one in others]
    assert len(set().union(digests(), *found)) == 1 + len(others)


def test_who_looks_on_makes_no_other_cell(own: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is the same with a tracker; one whose package is missing is a fault of the plan, not of each cell."""
    monkeypatch.setattr("softprompt.training.fitting.tracking.import_module", lambda name: name)
    entries: list[dict[str, Any]] = [{"rank": 2}, {"rank": 2, "report_to": "mlflow"}]
    entries.append({"rank": 2, "training.report_to": ["mlflow", "tensorboard"]})
    alone, *shown = (own.planned(tmp_path, methods=[{"name": "lora", "set": one}], seeds=[1]) for one in entries)
    for one in shown:
        assert (one.cells[0].name, one.digests) == (alone.cells[0].name, alone.digests)
    assert shown[1].cells[0].training_options == {"report_to": ["mlflow", "tensorboard"]}
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(PlanFaults, match=r"plan.yaml: methods\[0\]: report_to=trackio: the package"):
        own.planned(tmp_path, methods=[{"name": "lora", "set": {"report_to": "trackio"}}])


def test_bad_rows_are_left_out_where_a_task_says_so_and_notes_tell_of_them(own: Bench, tmp_path: Path) -> None:
    lines = (own.folder / "rows.jsonl").read_text().splitlines()
    bad = tmp_path / "bad.jsonl"
    bad.write_text("\n".join([*lines, json.dumps({"text": "w99"}), lines[0]]) + "\n")
    task = {"name": str(own.folder / "task.yaml"), "data": str(bad)}
    with pytest.raises(PlanFaults, match=r"tasks\[0\]: .*bad.jsonl, line 41: .*; or leave such rows out"):
        own.planned(tmp_path, tasks=[task])
    found = own.planned(tmp_path, tasks=[{**task, "skip_bad": True}], seeds=[1, 2])
    assert found.notes[0].startswith("words: bad.jsonl: left out 1 bad row: line 41: ")
    assert found.notes[1:] == ("words: 1 rows with the texts of an earlier row left out",)
    assert {cell.skip_bad for cell in found.cells} == {True}
    assert LoadedTasks().of(found.cells[0]).splits(1).notes


def test_options_go_to_whoever_has_them(own: Bench, tmp_path: Path) -> None:
    both = {"name": "lora", "set": {"rank": 2, "max_steps": 3, "method.dropout": 0.1, "training.dropout": True}}
    cell = own.planned(tmp_path, methods=[both], seeds=[1]).cells[0]
    assert cell.method_options == {"rank": 2, "dropout": 0.1}
    assert cell.training_options == {"max_steps": 3, "dropout": True}


def test_every_fault_is_told_with_its_key(own: Bench, tmp_path: Path) -> None:
    with pytest.raises(PlanFaults) as raised:
        own.planned(
            tmp_path,
            backbones=[own.document["backbones"][0], "/no/model"],
            tasks=["sst_2x", {"name": "sst2", "data": "/no/rows.tsv"}, {}, own.document["tasks"][0]],
            methods=[
                "prompttuning",
                {"name": "lora", "set": {"rnk": 4}},
                {"name": "lora", "set": {"rank": "many"}},
                {"name": "lora", "set": {"dropout": 0.1}},
                {"name": "lora", "preset": "capt-paper"},
                {"preset": "capt-papr"},
                {},
                "capt",
            ],
        )
    wanted = [
        ("backbones[1]", "backbone /no/model does not exist"),
        ("methods[0]", "no method named 'prompttuning': did you mean 'prompt_tuning'?"),
        ("methods[1]", "set rnk: no such option; did you mean 'rank'?"),
        ("methods[2]", "option 'rank' of method 'lora'"),
        ("methods[3]", "set dropout: the method and the training both have it: write method.dropout or training"),
        ("methods[4]", "preset capt-paper is of method capt: leave the name lora out"),
        ("methods[5]", "no preset named 'capt-papr': did you mean 'capt-paper'?"),
        ("methods[6]", "neither a name nor a preset"),
        ("tasks[0]", "no task 'sst_2x'; did you mean 'sst2'?"),
        ("tasks[1]", "/no/rows.tsv"),
        ("tasks[2]", "neither a name nor data"),
    ]
    lines = raised.value.lines
    assert len(lines) == len(wanted)
    for line, (place, said) in zip(lines, wanted, strict=True):
        assert line.startswith(f"plan.yaml: {place}: "), line
        assert said in line


def test_data_alone_tell_the_task(own: Bench, tmp_path: Path) -> None:
    rows = tmp_path / "tickets.csv"
    rows.write_text("text,team\n" + "".join(f"parcel {n} is late,{('post', 'tech')[n % 2]}\n" for n in range(40)))
    found = own.planned(tmp_path, tasks=[{"data": str(rows)}], methods=["capt"], seeds=[1])
    assert (found.cells[0].task, found.cells[0].data) == (None, str(rows))
    assert found.cells[0].name == "tickets-capt-llama-1"


def test_a_method_that_will_refuse_an_option_is_noted_and_changes_no_cell(
    own: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = [
        {"name": "head_only", "set": {"learning_rate": 0.5}},
        {"name": "capt", "set": {"readout": "text", "training.pooling": "mean"}},
        {"name": "capt", "set": {"pooling": "mean"}},  # that depends on the backbone
    ]
    found = own.planned(tmp_path, methods=methods, seeds=[1])
    assert [note.split(": ", 1)[0] for note in found.notes if "cannot be begun" in note] == [
        "head_only,learning_rate=0.5 cannot be begun", "capt,readout=text,training.pooling=mean cannot be begun",
    ]  # fmt: skip
    monkeypatch.setattr("softprompt.compare.planned.check_heard", lambda *_: None)
    assert own.planned(tmp_path, methods=methods, seeds=[1]).digests == found.digests
