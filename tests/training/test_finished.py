"""`metrics.json`: read by the schema that wrote it, and a course has a place of its own in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from softprompt.backbones.tunable import percentage
from softprompt.errors import SoftPromptError
from softprompt.files.manifest import sealed
from softprompt.guards.registry import Entry, defined
from softprompt.methods import PromptTuning
from softprompt.methods.registry import METHODS as METHOD_CLASSES
from softprompt.storage.prompt import load, save
from softprompt.training.courses import Work, course
from softprompt.training.courses.registry import COURSES
from softprompt.training.finished import RunMetrics, read_metrics
from softprompt.training.run import Run, open_run

from ..shared.models import HIDDEN, model, tokenizer
from ..shared.plugins import forgotten
from ..shared.prompts import METHODS
from ..shared.runs import Interrupting, Listening, run

SHARE = {"backbone_parameters": 9, "percent": 1.5, "percent_without_head": 1.0}
FILE = Path("run") / "metrics.json"
# Names that a run, its prompt's file or both have for themselves.
CLASHES = {
    "test": "mine", "seed": 99, "task": "mine", "trained_parameters": -1, "metric": None, "history": 3, "metrics": {},
    "versions": [], "format": 2, "report": "mine", "readout": 1, "diverged": True, "course": "mine", "walk": [1.5, 2],
}  # fmt: skip


class Talking(PromptTuning):
    """A method whose course reports names that are taken."""

    name = "talking"  # type: ignore[misc]
    course = "talking"  # type: ignore[misc]


@pytest.fixture
def talking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    forgotten(monkeypatch, METHOD_CLASSES, COURSES)
    METHOD_CLASSES.add("talking", Entry(Talking, defined(Talking)))

    @course("talking")
    def talk(work: Work) -> None:
        work.fit()
        work.report.update(CLASHES)

    return run(tmp_path, "llama", Talking(num_virtual_tokens=3))


def written(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / FILE).read_text())
    return found


def test_no_course_overwrites_what_a_run_tells(talking: Run, tmp_path: Path) -> None:
    plain = run(tmp_path / "plain", "llama", PromptTuning(num_virtual_tokens=3))
    assert written(tmp_path) == talking.metrics
    assert talking.record.course == CLASHES
    assert talking.metrics["course"] == CLASHES
    same = set(plain.metrics) - {"method", "options", "course", "sha256"}
    same -= {"train_seconds", "rows_per_second", "peak_memory_bytes"}
    assert {name: talking.metrics[name] for name in same} == {name: plain.metrics[name] for name in same}
    assert "diverged" not in talking.metrics
    assert talking.metrics["walk"] == [1.5, 2]  # where other readers look for it, until version 0.3


def test_no_course_overwrites_what_a_prompt_tells(talking: Run, tmp_path: Path) -> None:
    for name in ("run/prompt", "again", "once more"):
        found = json.loads((tmp_path / name / "prompt.json").read_text())
        assert (found["format"], found["seed"], found["method"]) == (1, 3, "talking")
        assert found["metrics"]["rows"] == 4
        assert found["report"] == CLASHES
        prompt = load(tmp_path / name, model("llama"), tokenizer())
        assert (prompt.meta["seed"], prompt.meta["walk"]) == (3, [1.5, 2])
        save(prompt, tmp_path / {"run/prompt": "again"}.get(name, "once more"))


def test_a_run_is_read_as_it_was_written(talking: Run, tmp_path: Path) -> None:
    read = read_metrics(tmp_path / FILE)
    assert read == talking.record
    assert list(read.document()) == list(written(tmp_path))
    assert list(read.document()["test"]) == ["accuracy", "rows", "interval", "loss", "seen_rows"]  # type: ignore[arg-type]


def test_a_file_of_version_0_1_opens_with_its_course(tmp_path: Path) -> None:
    """There the course's keys stand among the run's own."""
    done = run(tmp_path, "llama", "spt", max_steps=2)
    before = {name: value for name, value in written(tmp_path).items() if name not in ("course", "sha256")}
    assert before["kept_layers"] == done.record.kept_layers
    for old in (before, sealed(before)):
        (tmp_path / FILE).write_text(json.dumps(old))
        read = read_metrics(tmp_path / FILE)
        assert (read.course, read.kept_layers) == (done.record.course, done.record.kept_layers)
        assert read.document() == old


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"stranger": 1}, "metrics.json: stranger: there is no such field"),
        ({"kept_layers": [0]}, "metrics.json: kept_layers: there is no such field"),  # not what the course reports
        ({"course": [1]}, "metrics.json: course: "),
        ({"course": {"kept_layers": ["0"]}}, "metrics.json: course: kept_layers is no list of layers"),
        ({"diverged": {"step": 1}}, "metrics.json: diverged"),
        ({"diverged": {"step": 1, "what": "loss", "value": "nan", "running": 1}}, "metrics.json: diverged: no '"),
        ({"trained_parameters": -1}, "metrics.json: trained_parameters: "),
        ({"tunable": {**SHARE, "percent": -1}}, "metrics.json: tunable.percent: "),
        ({"tunable": {**SHARE, "backbone_parameters": 0}}, "metrics.json: tunable.backbone_parameters: "),
    ],
)
def test_what_no_run_writes_is_refused(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    values = _values()
    RunMetrics.of(values, "metrics.json")
    (tmp_path / "metrics.json").write_text(json.dumps({**values, **change}))
    with pytest.raises(SoftPromptError, match=told):
        read_metrics(tmp_path / "metrics.json")


def test_what_no_json_can_hold_is_told() -> None:
    with pytest.raises(SoftPromptError, match="metrics.json: .*not JSON serializable"):
        RunMetrics.of({**_values(), "course": {"model": object()}}, "metrics.json")


def test_metrics_that_are_not_those_of_a_run(tmp_path: Path) -> None:
    folder = run(tmp_path, "llama", "hard_prompt").folder
    metrics = json.loads((folder / "metrics.json").read_text())
    assert open_run(folder, model("llama"), tokenizer()).metrics == metrics
    for change, told in (
        ({"test": {**metrics["test"], "accuracy": "high"}}, "metrics.json: test.accuracy: "),
        ({"test": {"rows": 4}}, "metrics.json: test: no 'accuracy' in it"),
        ({"seed": None}, "metrics.json: seed: "),
    ):
        (folder / "metrics.json").write_text(json.dumps({**metrics, **change}))
        with pytest.raises(SoftPromptError, match=told):
            open_run(folder, model("llama"), tokenizer())


def test_a_finished_run_that_was_damaged_is_made_again(tmp_path: Path) -> None:
    done = run(tmp_path, "llama", METHODS["prompt_tuning"])
    folder = tmp_path / "run"
    tensors = (folder / "prompt" / "prompt.safetensors").read_bytes()
    metrics = json.loads((folder / "metrics.json").read_text())
    wrong = {**metrics, "test": {**metrics["test"], "accuracy": 1.0}, "stored_bytes": 1}
    (folder / "metrics.json").write_text(json.dumps(wrong))
    with pytest.raises(SoftPromptError, match="differs from what was written"):
        open_run(folder, done.prompt.model, done.prompt.tokenizer)
    for harm in (
        lambda: (folder / "metrics.json").write_text(json.dumps(wrong)),
        lambda: (folder / "metrics.json").write_text("{"),
        lambda: (folder / "prompt" / "prompt.safetensors").write_bytes(tensors[:-1] + b"\x01"),
        lambda: shutil.rmtree(folder / "prompt"),
    ):
        harm()
        told, counted = Listening(), Interrupting(10**6)
        told.work = counted.work  # type: ignore[method-assign]
        again = run(tmp_path, "llama", METHODS["prompt_tuning"], resume=True, progress=told)
        assert sum("made again from" in line for line in told.lines) == 1
        assert counted.done == 0  # no step was taken
        assert (folder / "prompt" / "prompt.safetensors").read_bytes() == tensors
        assert again.metrics["test"] == metrics["test"]


def _values() -> dict[str, Any]:
    return {
        "task": "t", "method": "capt", "backbone": "b", "seed": 1, "metric": "accuracy",
        "test": {}, "validation": {"accuracy": 0.5, "rows": 2, "interval": [0.1, 0.9], "loss": None},
        "trained_parameters": 1, "trained_head_parameters": 0, "stored_parameters": 1, "stored_bytes": 4,
        "train_seconds": 1.0, "rows_per_second": None, "peak_memory_bytes": 1, "versions": {}, "protocol": "p",
        "readout": {}, "options": {}, "history": [], "course": {},
    }  # fmt: skip


def test_the_tunable_share_is_told_where_a_run_tells_it(tmp_path: Path) -> None:
    """With the head and without; files of earlier versions say nothing of it, and load."""
    done = run(tmp_path, "bert", "capt", max_steps=1, readout="head")
    size = sum(one.numel() for one in model("bert").parameters())
    own, head = 3 * HIDDEN, 2 * (HIDDEN + 1)
    share = {
        "backbone_parameters": size,
        "percent": 100 * (own + head) / size,
        "percent_without_head": 100 * own / size,
    }
    assert (
        written(tmp_path)["tunable"] == share == json.loads((done.folder / "prompt/prompt.json").read_text())["tunable"]
    )
    assert ("tunable", done.record.tunable.sentence()) in done.record.summary().facts  # type: ignore[union-attr]
    card = (done.folder / "prompt" / "README.md").read_text()
    assert f"- Tunable: {percentage(share['percent'])} % of the backbone's {size:,} parameters, " in card
    before = {name: value for name, value in written(tmp_path).items() if name not in ("tunable", "sha256")}
    (tmp_path / FILE).write_text(json.dumps(sealed(before)))
    read = read_metrics(tmp_path / FILE)
    assert read.tunable is None
    assert "tunable" not in dict(read.summary().facts)
    assert read.document() == sealed(before)
