"""Teachers of a run of several tasks: what they change, which may teach, and what is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError
from softprompt.methods import MPT, PromptTuning, PTuningV2
from softprompt.progress import Progress
from softprompt.storage.prompt import load, save
from softprompt.tasks import Task
from softprompt.training.multitask.teachers import taught_by
from softprompt.training.options import TrainingOptions
from softprompt.training.run import train

from ...shared.members import member
from ...shared.models import model, tokenizer
from ...shared.runs import task as words
from ...shared.several import last_state, run, tasks


def test_teachers_change_the_training_and_stay(tmp_path: Path) -> None:
    """MPT's distillation: with a weight of nothing it is none, and the teachers' folders are as they were."""
    given = tasks(tmp_path / "data")
    places = {}
    for task in given:
        options = {"max_steps": 4, "evaluations": 1, "learning_rate": 0.5, "progress": False}
        folder = tmp_path / "teachers" / task.name
        train(model("llama"), tokenizer(), task, PromptTuning(num_virtual_tokens=2), output=folder, **options)
        places[task.name] = folder
    found = []
    for name, options in (
        ("plain", {}),
        ("nothing", {"teachers": places, "distillation": 0.0}),
        ("taught", {"teachers": places, "distillation": 10.0}),
    ):
        done = run(tmp_path / name, MPT(num_virtual_tokens=2), patience=50, **options)
        found.append(last_state(done)["prompted.prompts.0.table"])
    assert (found[0] == found[1]).all()
    assert not (found[0] == found[2]).all()


def test_a_teacher_may_be_of_any_method_and_its_rows_are_known(tmp_path: Path) -> None:
    """A head behind a prefix teaches label words at a mask; what it was trained on is no row to test on."""
    given = words(tmp_path / "more", rows=60, name="one")
    options = {"max_steps": 2, "evaluations": 1, "progress": False, "output": tmp_path / "teacher"}
    train(model("bert"), tokenizer(), given, PTuningV2(num_virtual_tokens=3), **options)
    done = run(tmp_path, MPT(num_virtual_tokens=2), "bert", teachers={"one": tmp_path / "teacher"})
    rows = given.splits(13).train
    for place in (done.shared, done.folder / "tasks" / "other"):
        assert load(place, model("bert"), tokenizer()).seen.count(rows) == len(rows)


def test_teachers_that_cannot_teach_are_refused(tmp_path: Path) -> None:
    options = {"max_steps": 1, "evaluations": 1, "progress": False, "output": tmp_path / "teacher"}
    other = Task(name="x", template="{sentence} {mask}", labels={"0": "w10", "1": "w11"})
    rows = [{"sentence": f"w{20 + n}", "label": str(n % 2)} for n in range(20)]
    train(model("llama"), tokenizer(), other.with_data(rows), PromptTuning(num_virtual_tokens=2), **options)
    for teachers, more, match in (
        ({"one": tmp_path / "teacher"}, {}, "reads the field 'sentence', which task 'one' has not"),
        ({"other": tmp_path / "teacher"}, {}, "other labels than task 'other'"),
        ({}, {"distillation": 0.5}, "name one, or leave it out"),
        ({"one": "x"}, {"distillation": -1.0}, "no weight"),
        ({"one": "x"}, {"distillation": float("nan")}, "no weight"),
        ({"one": "x"}, {"z_loss": 1e-4, "loss": "vocabulary"}, "z_loss"),
    ):
        with pytest.raises(SoftPromptError, match=match):
            run(tmp_path, MPT(num_virtual_tokens=2), teachers=teachers, **more)
        assert not (tmp_path / "run").exists()


def test_a_teacher_speaks_of_labels_by_their_values(tmp_path: Path) -> None:
    """Its labels may stand in another order than the task's."""
    given = words(tmp_path / "data")
    turned = given.model_copy(update={"labels": dict(reversed(given.labels.items()))})
    save(member(turned, "bert", "capt", 0, readout="head"), tmp_path / "teacher")
    backbone, rows = Backbone(model("bert"), tokenizer()), given.splits(1)
    found = {}
    for task in (given, turned):
        spec = SimpleNamespace(
            task=task, backbone=backbone, splits=rows, show=Progress(False), options=TrainingOptions()
        )
        found[task.label_values] = taught_by(str(tmp_path / "teacher"), spec)  # type: ignore[arg-type]
    for one, other in zip(found["0", "1"], found["1", "0"], strict=True):
        assert one == pytest.approx(other[::-1])
