"""Courses: stages that are remembered, and loops that resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from softprompt.attached.attach import build
from softprompt.guards.registry import Entry, defined
from softprompt.methods import PromptTuning
from softprompt.methods import registry as methods
from softprompt.training.courses import Work, course
from softprompt.training.courses.registry import COURSES
from softprompt.training.run import Interrupted

from ...shared.models import HIDDEN, tokenizer
from ...shared.plugins import forgotten
from ...shared.prompts import METHODS
from ...shared.runs import PROMPT, Interrupting, Listening, run


class TwoStages(PromptTuning):
    """A method from outside with a course of its own; not registered, since `train` takes instances."""

    name = "two_stages"  # type: ignore[misc]
    course = "two_stages"  # type: ignore[misc]


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The course of `TwoStages`, and what it did."""
    forgotten(monkeypatch, methods.METHODS, COURSES)
    methods.METHODS.add("two_stages", Entry(TwoStages, defined(TwoStages)))
    done: list[str] = []

    @course("two_stages")
    def two_stages(work: Work) -> None:
        work.fit("first")
        done.append("first")
        gradient = work.once("gradient", lambda: _mean_gradient(work))
        done.append("gradient")
        for index, state in work.loop("walk", 6, {"values": []}):
            state["values"].append(index * gradient)
            done.append(f"round {index}")
        work.report["walk"] = work.loop_state("walk")["values"]
        half = work.items[::2]
        work.fit("second", items=half, options=work.options.model_copy(update={"max_steps": 6}))
        done.append("second")

    return done


def _mean_gradient(work: Work) -> float:
    own: Any = work.producer
    return float(torch.stack([g.norm() for (g,) in work.gradients([own.table], batch_size=4)]).mean())


@pytest.mark.parametrize(
    ("watched", "at"), [("training", 3), ("training", 10), ("walk", 2), ("training", 13), ("training", 16)]
)
def test_a_course_of_stages_resumes_to_the_same_bytes(watched: str, at: int, own: list[str], tmp_path: Path) -> None:
    method = TwoStages(num_virtual_tokens=3)
    straight = run(tmp_path / "a", "llama", method)
    progress = Interrupting(at)
    progress.watched = watched
    with pytest.raises(Interrupted, match="resume"):
        run(tmp_path / "b", "llama", method, progress=progress)
    assert not (tmp_path / "b" / "run" / "metrics.json").exists()
    resumed = run(tmp_path / "b", "llama", method, resume=True)
    assert (tmp_path / "a" / PROMPT).read_bytes() == (tmp_path / "b" / PROMPT).read_bytes()
    assert straight.metrics["history"] == resumed.metrics["history"]
    assert straight.metrics["walk"] == resumed.metrics["walk"]
    assert straight.metrics["test"] == resumed.metrics["test"]


def test_finished_stages_are_not_run_again(own: list[str], tmp_path: Path) -> None:
    progress = Interrupting(13)  # in the second stage
    with pytest.raises(Interrupted):
        run(tmp_path, "llama", TwoStages(num_virtual_tokens=3), progress=progress)
    state = tmp_path / "run" / "state"
    assert sorted(path.name for path in state.iterdir()) == ["first", "gradient.json", "second", "walk.json"]
    before = [path.stat().st_mtime_ns for path in sorted(state.glob("first/*/*"))]
    own.clear()
    counted = Interrupting(10**6)
    done = run(tmp_path, "llama", TwoStages(num_virtual_tokens=3), resume=True, progress=counted)
    assert own == ["first", "gradient", "second"]  # no round is walked again
    assert [path.stat().st_mtime_ns for path in sorted(state.glob("first/*/*"))] == before
    assert counted.done < 10  # steps of the second stage alone
    assert {one["stage"] for one in done.metrics["history"]} == {"first", "second"}
    assert done.metrics["train_seconds"] > 0


def test_a_run_that_stopped_early_stays_stopped(tmp_path: Path) -> None:
    """A run that is killed between its last step and its metrics does not train on when it is resumed."""
    options = {"max_steps": 400, "evaluations": 100, "patience": 2, "learning_rate": 1e-9}
    done = run(tmp_path, "llama", METHODS["capt"], **options)
    before = (tmp_path / PROMPT).read_bytes()
    (tmp_path / "run" / "metrics.json").unlink()
    again = run(tmp_path, "llama", METHODS["capt"], resume=True, **options)
    assert again.metrics["history"] == done.metrics["history"]
    assert (tmp_path / PROMPT).read_bytes() == before


def test_what_was_trained_is_counted_at_the_fits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not before the course, which may exchange the prompt, and not by what the course says."""
    forgotten(monkeypatch, methods.METHODS, COURSES)
    methods.METHODS.add("two_stages", Entry(TwoStages, defined(TwoStages)))

    @course("two_stages")
    def exchanged(work: Work) -> None:
        assert work.trained_scalars.prompt == 3 * HIDDEN
        for count in (2, 5, 4):  # as in a pruning, the largest counts
            work.replace(method=TwoStages(num_virtual_tokens=count))
            work.fit(f"of {count}", options=work.options.model_copy(update={"max_steps": 1}))
        work.replace(producer=build(work.prompted.backbone, tokenizer(), TwoStages(num_virtual_tokens=9)))
        work.fit("of a prompt that stands in", options=work.options.model_copy(update={"max_steps": 1}))
        work.replace(method=TwoStages(num_virtual_tokens=4))
        work.report["trained_parameters"] = 7

    done = run(tmp_path, "bert", TwoStages(num_virtual_tokens=3), readout="head")
    head = 2 * HIDDEN + 2
    assert (done.record.trained_parameters, done.record.trained_head_parameters) == (5 * HIDDEN + head, head)
    assert done.record.stored_parameters == 4 * HIDDEN + head


def test_a_training_that_ends_early_says_at_which_step_of_how_many(tmp_path: Path) -> None:
    told = Listening()
    options = {"max_steps": 20, "evaluations": 20, "patience": 2, "learning_rate": 1e-20}
    run(tmp_path, "llama", METHODS["prompt_tuning"], progress=told, **options)
    (line,) = [line for line in told.lines if "stopped early" in line]
    assert line == (
        "stopped early at 2 of 20 steps: 2 evaluations without a better one than that of step 0, which is kept"
    )
    whole = Listening()
    run(tmp_path / "whole", "llama", METHODS["prompt_tuning"], progress=whole, max_steps=2, evaluations=2)
    assert not [line for line in whole.lines if "stopped early" in line]


def test_soft_words_without_words_say_that_nothing_is_trained(tmp_path: Path) -> None:
    told = Listening()
    run(tmp_path, "llama", "soft_words", progress=told, max_steps=1, evaluations=1)
    (line,) = [line for line in told.lines if "soft_words trains the words" in line]
    assert "the task's template '{text} {mask}' has none, so that nothing of it is trained: set prompts" in line
