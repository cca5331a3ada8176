"""Courses: stages that are remembered, loops that resume, and the courses that come with methods."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from softprompt.errors import SoftPromptError
from softprompt.guards.registry import Entry, defined
from softprompt.methods import PromptTuning, XPrompt
from softprompt.methods import registry as methods
from softprompt.methods.base import Method
from softprompt.training import courses
from softprompt.training.courses import Work, course
from softprompt.training.courses.registry import COURSES
from softprompt.training.run import Interrupted, Run, open_run

from ...shared.models import model, tokenizer
from ...shared.plugins import forgotten
from ...shared.prompts import METHODS
from ...shared.runs import Interrupting, run

PROMPT = Path("run") / "prompt" / "prompt.safetensors"


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


def test_the_registry(own: list[str]) -> None:
    assert {"fit", "xprompt", "autoprompt", "hard_prompt"} <= set(COURSES.all())
    with pytest.raises(SoftPromptError, match="no course named 'magic': choose from autoprompt, fit"):
        courses.of("magic")
    with pytest.raises(SoftPromptError, match="registered already"):
        course("fit")(lambda work: None)


def test_an_unknown_course_is_one_clear_line(tmp_path: Path) -> None:
    class Lost(PromptTuning):
        course = "lost"  # type: ignore[misc]

    with pytest.raises(SoftPromptError, match="register one with @course"):
        run(tmp_path, "llama", Lost(num_virtual_tokens=2))


XPROMPT = {"num_virtual_tokens": 8, "pieces": 4, "token_rates": (0.25, 0.5), "piece_rates": (0.25, 0.75)}


@pytest.mark.parametrize(("family", "readout"), [("llama", "text"), ("bert", "mask"), ("bert", "head"), ("t5", "text")])
def test_xprompt_stores_the_pruned_prompt(family: str, readout: str, tmp_path: Path) -> None:
    done = run(tmp_path, family, XPrompt(**XPROMPT), readout=readout)
    pruned = done.metrics["pruned"]
    table = done.prompt.producer.stored()["table"]
    count, width = len(pruned["tokens_kept"]), table.shape[1]
    assert table.shape[0] == count == {0.25: 6, 0.5: 4}[pruned["token_rate"]]
    assert sorted([*pruned["tokens_kept"], *pruned["tokens_pruned"]]) == list(range(8))
    importance = pruned["token_importance"]
    assert min(importance[i] for i in pruned["tokens_kept"]) >= max(importance[i] for i in pruned["tokens_pruned"])
    assert pruned["pieces_pruned"] == round(pruned["piece_rate"] * count * 4)
    assert int((table != 0).sum()) == pruned["kept_parameters"] == pruned["pieces_kept"] * width // 4
    assert done.metrics["trained_parameters"] - done.metrics["trained_head_parameters"] == 8 * width
    tried = pruned["tried"]
    assert [one["stage"] for one in tried] == ["tokens-0.25", "tokens-0.5", "pieces-0.25", "pieces-0.75"]
    best = max(tried[2:], key=lambda one: (one["accuracy"], -one["loss"]))
    assert done.metrics["validation"]["loss"] == pytest.approx(best["loss"], rel=1e-4)
    stored = json.loads((tmp_path / "run" / "prompt" / "prompt.json").read_text())
    assert stored["options"]["kept"] == pruned["tokens_kept"]
    assert stored["pruned"] == pruned
    again = open_run(tmp_path / "run", model(family), tokenizer())
    texts = ["w20 w41", "w30 w41 w42 w43"]
    assert again.prompt.producer.count == count
    for one, other in zip(done.prompt.outcomes(texts), again.prompt.outcomes(texts), strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)


def test_xprompt_rewinds_to_the_tuned_values(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every rewinding starts from the rows of the tuned table, its pruned pieces zero; its readout as tuned."""
    from softprompt.training.fitting.trainer import SoftPromptTrainer

    starts: list[dict[str, torch.Tensor]] = []
    begin = SoftPromptTrainer.train

    def spy(self: Any, *args: Any, **kwargs: Any) -> Any:
        own = self.trained.prompted.prompts[0]
        starts.append({"table": own.embed(None).detach().clone(), "head": self.trained.readout.linear.weight.clone()})
        return begin(self, *args, **kwargs)

    monkeypatch.setattr(SoftPromptTrainer, "train", spy)
    done = run(tmp_path, "bert", XPrompt(**XPROMPT), readout="head")
    tuned = torch.from_numpy(_best(tmp_path / "run" / "state" / "tune", "prompted.prompts.0.table"))
    head = torch.from_numpy(_best(tmp_path / "run" / "state" / "tune", "readout.linear.weight"))
    importance = torch.tensor(done.metrics["pruned"]["token_importance"])
    order = importance.argsort(descending=True)
    for start, count in zip(starts[1:3], (6, 4), strict=True):
        assert torch.equal(start["table"], tuned[order[:count].sort().values])
    kept = tuned[done.metrics["pruned"]["tokens_kept"]]
    for start in starts[3:]:
        left = start["table"] != 0
        assert torch.equal(start["table"][left], kept[left])
        assert int((~left).sum()) > 0
    assert all(torch.equal(start["head"], head) for start in starts[1:])
    assert head.any()


def _best(stage: Path, name: str) -> Any:
    from safetensors.numpy import load_file

    return load_file(next(stage.glob("checkpoint-*")) / "best.safetensors")[name]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of XPrompt that nothing stops."""
    return run(tmp_path_factory.mktemp("straight"), "llama", XPrompt(**XPROMPT))


@pytest.mark.parametrize("at", [3, 14, 27, 44])
def test_xprompt_resumes_to_the_same_bytes(at: int, straight: Run, tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="resume"):
        run(tmp_path, "llama", XPrompt(**XPROMPT), progress=Interrupting(at))
    resumed = run(tmp_path, "llama", XPrompt(**XPROMPT), resume=True)
    assert (straight.folder.parent / PROMPT).read_bytes() == (tmp_path / PROMPT).read_bytes()
    assert straight.metrics["pruned"] == resumed.metrics["pruned"]
    assert straight.metrics["history"] == resumed.metrics["history"]


def test_one_rate_needs_no_choice(tmp_path: Path) -> None:
    done = run(tmp_path, "llama", XPrompt(num_virtual_tokens=4, pieces=4, token_rates=(0.5,), piece_rates=(0.0,)))
    assert [one["stage"] for one in done.metrics["pruned"]["tried"]] == ["pieces-0"]
    assert done.metrics["pruned"]["pieces_pruned"] == 0
    assert done.metrics["stored_parameters"] == 2 * 32


def test_every_method_names_a_course_that_there_is() -> None:
    from softprompt.methods import methods

    for cls in methods(installed=False).values():
        assert issubclass(cls, Method)
        assert courses.of(cls.course)
