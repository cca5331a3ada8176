"""The published schema of `metrics.json`: current, and followed by every file that a run writes.

`tests/conftest.py` holds each `metrics.json` of the whole suite's runs against it as it is written; here every course
and every kind of task has a run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
from docs import schema as keeper
from jsonschema import Draft202012Validator, ValidationError

from softprompt.errors import SoftPromptError
from softprompt.methods import methods
from softprompt.tasks import Task
from softprompt.tasks.definition import TaskKind
from softprompt.training.courses.registry import COURSES
from softprompt.training.finished import RunMetrics
from softprompt.training.run import train
from softprompt.training.schema import PUBLISHED, metrics_schema

from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS
from ..shared.runs import QUICK, finished, run

WORDS = [f"w{10 + place}" for place in range(40)]
# A task of each kind, its rows, and the backbone that it is asked on.
KINDS: dict[str, tuple[str, dict[str, Any], list[dict[str, object]]]] = {
    "classification": (
        "llama",
        {"template": "{text} {mask}", "labels": {"0": "w10", "1": "w11"}},
        [{"text": word, "label": place % 2} for place, word in enumerate(WORDS)],
    ),
    "regression": (
        "bert",
        {"template": "{text} {mask}", "bounds": (0, 5), "labels": {"0": "w10", "5": "w11"}},
        [{"text": word, "label": 5.0 * (place % 2)} for place, word in enumerate(WORDS)],
    ),
    "choice": (
        "llama",
        {"template": "{text} {choice}"},
        [{"text": word, "choices": ["w10 w20", "w11"], "label": place % 2} for place, word in enumerate(WORDS)],
    ),
    "generation": (
        "t5",
        {"template": "{text} {mask}", "metric": "exact_match", "columns": {"label": ["answer"]}},
        [{"text": word, "answer": "w10 w11"} for word in WORDS],
    ),
    "tags": ("bert", {"labels": ["O", "B-X", "I-X"]}, [{"tokens": [word], "tags": ["B-X"]} for word in WORDS]),
    "extraction": (
        "bert",
        {},
        [{"question": "w10", "context": f"w9 {word} w12", "answers": [word]} for word in WORDS],
    ),
    "fact": (
        "bert",
        {"template": "{subject} w61 {mask}", "vocabulary": tuple(WORDS)},
        [{"subject": f"w6 {word}", "label": word} for word in WORDS],
    ),
}  # fmt: skip


def faults(document: object) -> list[str]:
    """Where a document departs from the schema as it is published, in the order of the places."""
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return sorted(error.json_path for error in Draft202012Validator(published).iter_errors(document))


def written(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run" / "metrics.json").read_text())
    return found


def test_the_published_file_is_current_and_a_schema() -> None:
    assert keeper.main(["--check"]) == 0, "run make schema"
    Draft202012Validator.check_schema(metrics_schema())
    assert metrics_schema()["properties"].keys() == RunMetrics.model_fields.keys()  # type: ignore[union-attr]


def test_what_is_out_of_date_is_told_and_then_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(keeper, "PUBLISHED", tmp_path / "old.json")
    assert keeper.main(["--check"]) == 1
    assert "old.json: run make schema" in capsys.readouterr().out
    assert (keeper.main([]), keeper.main(["--check"])) == (0, 0)


@pytest.mark.parametrize("name", ["prompt_tuning", "spt", "hard_prompt", "autoprompt", "soft_words", "xprompt"])
def test_the_run_of_every_course_follows_it(name: str, tmp_path: Path) -> None:
    done = run(tmp_path, "llama", METHODS[name], max_steps=2, evaluations=1)
    assert done.record.schema_version == 1
    assert faults(written(tmp_path)) == []


def test_every_course_of_the_library_has_such_a_run() -> None:
    tried = ("prompt_tuning", "spt", "hard_prompt", "autoprompt", "soft_words", "xprompt")
    courses = {METHODS[name].course for name in tried}
    assert courses == {method.course for method in methods(installed=False).values()}
    assert courses <= COURSES.all(installed=False).keys()


@pytest.mark.parametrize("kind", get_args(TaskKind))
def test_a_task_of_every_kind_follows_it(kind: str, tmp_path: Path) -> None:
    family, options, rows = KINDS[kind]
    own = Task(name="own", kind=kind, **options).with_data(rows)
    train(
        model(family), tokenizer(), own, METHODS["prompt_tuning"], output=tmp_path / "run", progress=False,
        learning_rate=0.01, max_new_tokens=3, **{**QUICK, "max_steps": 1},
    )  # fmt: skip
    assert faults(written(tmp_path)) == []


@pytest.mark.parametrize(
    ("change", "places"),
    [
        ({"schema_version": 2}, ["$.schema_version"]),
        ({"seed": "3"}, ["$.seed"]),
        ({"test": {"accuracy": "high", "rows": 8}}, ["$.test.accuracy"]),
        ({"test": {"accuracy": 0.5, "interval": [0.1]}}, ["$.test.interval"]),
        ({"stored_bytes": -1}, ["$.stored_bytes"]),
        ({"tunable": {"percent": 1.0}}, ["$.tunable"]),
        ({"diverged": {"step": 1}}, ["$.diverged"]),
        ({"course": {"walk": [1.5]}, "walk": [1.5]}, []),  # where version 0.1 had it, too
    ],
)
def test_what_no_run_writes_does_not_follow_it(change: dict[str, Any], places: list[str]) -> None:
    document = {**finished().document(), "sha256": "0"}
    assert faults(document) == []
    assert faults({**document, **change}) == places


def test_a_file_lacks_no_field_but_three() -> None:
    document = {**finished().document(), "sha256": "0"}
    lacking = {name for name in document if not faults({key: one for key, one in document.items() if key != name})}
    assert lacking == set()
    assert RunMetrics.model_fields.keys() - document.keys() == {"breakdown", "preset", "diverged"}


def test_a_file_of_a_later_schema_is_one_line() -> None:
    with pytest.raises(SoftPromptError, match="schema_version: 2, but this version reads 1: update softprompt$"):
        finished(schema_version=2)
    with pytest.raises(SoftPromptError, match="metrics.json: schema_version: "):
        finished(schema_version="1")


def test_files_of_earlier_versions_know_of_none() -> None:
    before = {name: value for name, value in finished().document().items() if name != "schema_version"}
    read = RunMetrics.of(before, "metrics.json")
    assert read.schema_version is None
    assert read.document() == before


def test_the_suite_holds_every_run_against_it(tmp_path: Path) -> None:
    """What `conftest.py` promises: a run whose file departs from the schema fails its test."""
    with pytest.raises(ValidationError, match="schema_version"):
        finished(schema_version=None).write(tmp_path / "metrics.json")
