"""LAMA's lines: T-REx's and Google-RE's, a file a relation or a folder of its parts."""

from __future__ import annotations

from pathlib import Path

from softprompt.tasks import Task

from ...shared.tables import jsonl

BORN = "{subject} was born in {mask}."


def lines(count: int) -> list[dict[str, object]]:
    """Half as T-REx has them, half as Google-RE; what stands beside is not read."""
    trex = {"uuid": "u", "obj_uri": "Q1", "sub_uri": "Q2", "predicate_id": "P19", "evidences": [{"x": 1}]}
    google = {"pred": "/people/person/place_of_birth", "sub": "/m/0", "obj": "/m/1", "judgments": []}
    return [{**(google if n % 2 else trex), "sub_label": f"Ann {n}", "obj_label": f"Town{n}"} for n in range(count)]


def test_a_relation_s_file_is_divided(tmp_path: Path) -> None:
    splits = Task.load("lama", data=jsonl(tmp_path / "P19.jsonl", lines(30)), template=BORN).splits()
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [24, 3, 3]
    row = splits.train[0]
    assert row.answers == (row.fields["subject"].replace("Ann ", "Town"),) == (row.label,)


def test_a_relation_s_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    for name, count in {"train": 5, "dev": 3, "test": 2}.items():
        jsonl(tmp_path / "P19" / f"{name}.jsonl", lines(count))
    splits = Task.load("trex", data=tmp_path / "P19").splits()
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [5, 3, 2]


def test_templates_of_the_papers() -> None:
    task = Task.load("lama", template="p-tuning")
    assert str(task.template_for("mask")) == "{prompt:3} {mask}{prompt:3} {subject}{prompt:3}"
    assert str(Task.load("lama", template=BORN).template_for("mask")) == BORN
