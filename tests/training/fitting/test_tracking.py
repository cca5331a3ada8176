"""Trackers: what they are told is what `metrics.json` holds, and nothing of the run depends on them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback
from transformers.integrations import integration_utils

from softprompt.cli.settings import with_named
from softprompt.errors import SoftPromptError
from softprompt.training.fitting import tracking
from softprompt.training.fitting.tracking import check_trackers, reported
from softprompt.training.multitask.run import train_multitask
from softprompt.training.options import TrainingOptions, training_options

from ...shared.commands import bench, done
from ...shared.models import model, tokenizer
from ...shared.runs import run, task


class Keeping(TrainerCallback):
    """A tracker that keeps what it is told, as an integration of transformers is asked."""

    told: list[tuple[str, int, dict[str, float]]] = []
    ended: list[str] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        self.told.append((args.run_name, state.global_step, dict(logs)))

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.ended.append(args.run_name)


@pytest.fixture
def keeping(monkeypatch: pytest.MonkeyPatch) -> type[Keeping]:
    """In the place of MLflow."""
    monkeypatch.setattr(tracking, "import_module", lambda name: name)
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "mlflow", Keeping)
    Keeping.told, Keeping.ended = [], []
    return Keeping


def figures(history: list[dict[str, Any]]) -> list[tuple[int, dict[str, float]]]:
    """The numbers of a run's history, under the Trainer's names."""
    found = []
    for one in history:
        own = {"loss": one["train_loss"], **{f"eval_{k}": v for k, v in one.items() if k not in ("step", "train_loss")}}
        found.append((one["step"], {name: value for name, value in own.items() if isinstance(value, int | float)}))
    return found


def test_trackers_are_told_what_the_history_holds(keeping: type[Keeping], tmp_path: Path) -> None:
    done = run(tmp_path, "llama", "prompt_tuning", report_to="mlflow")
    # The last are the Trainer's own, of the training as a whole.
    told = [(step, dict(logs)) for _, step, logs in keeping.told if "train_runtime" not in logs]
    rates = [logs.pop("learning_rate") for _, logs in told]
    assert len(told) == len(keeping.told) - 1
    assert told == figures(done.metrics["history"])
    assert {name for name, _, _ in keeping.told} == {"run"} == set(keeping.ended)
    assert {"loss", "eval_loss", "eval_accuracy"} <= told[-1][1].keys()
    assert rates[0] > rates[-1] >= 0


def test_each_stage_of_a_run_has_a_name_of_its_own(keeping: type[Keeping], tmp_path: Path) -> None:
    run(tmp_path, "llama", "xprompt", report_to="mlflow", max_steps=2, evaluations=1)
    names = set(keeping.ended)
    assert len(names) > 1
    assert all(name.startswith("run-") for name in names)


def test_who_looks_on_makes_no_other_run(keeping: type[Keeping], tmp_path: Path) -> None:
    shown = run(tmp_path / "shown", "llama", "capt", report_to="mlflow", data=tmp_path / "data")
    alone = run(tmp_path / "alone", "llama", "capt", data=tmp_path / "data")
    for file in ("run.json", "prompt/prompt.safetensors", "prompt/prompt.json"):
        assert (shown.folder / file).read_bytes() == (alone.folder / file).read_bytes()
    assert shown.metrics["history"] == alone.metrics["history"]
    again = run(tmp_path / "alone", "llama", "capt", data=tmp_path / "data", report_to="mlflow", resume=True)
    assert again.metrics == alone.metrics


def test_tasks_together_are_shown(keeping: type[Keeping], tmp_path: Path) -> None:
    tasks = [task(tmp_path / name, name=name) for name in ("one", "two")]
    train_multitask(
        model("llama"), tokenizer(), tasks, "prompt_tuning", output=tmp_path / "run", progress=False, max_steps=2,
        evaluations=1, report_to="mlflow",
    )  # fmt: skip
    assert "eval_mean" in keeping.told[0][2]


def test_names_are_one_or_several() -> None:
    assert TrainingOptions().report_to == ()
    assert training_options({"report_to": "tensorboard, mlflow"}).report_to == ("tensorboard", "mlflow")
    assert TrainingOptions(report_to=["wandb"]).report_to == ("wandb",)
    own = training_options({"max_steps": 3}, TrainingOptions(report_to=("trackio",)))
    assert (own.report_to, own.max_steps) == (("trackio",), 3)
    assert "report_to" not in own.model_dump()
    assert with_named(None, report_to="mlflow") == ["training.report_to=mlflow"]
    with pytest.raises(SoftPromptError, match="report_to"):
        training_options({"report_to": "paper"})


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (ModuleNotFoundError("No module named 'wandb'", name="wandb"), "the package is missing: pip install wandb"),
        (ModuleNotFoundError("no pkg", name="pkg"), r"the package cannot be imported \(no pkg\): update wandb"),
        (AttributeError("an old\nname"), r"the package cannot be imported \(an old.*name\): update wandb"),
    ],
)
def test_a_package_that_is_of_no_use_is_one_line_before_anything_is_written(
    fault: Exception, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(name: str) -> None:
        raise fault

    check_trackers(())
    monkeypatch.setattr(tracking, "import_module", refusing)
    with pytest.raises(SoftPromptError, match=f"^report_to=wandb: {told}$"):
        run(tmp_path, "llama", "capt", report_to="wandb")
    assert not (tmp_path / "run").exists()


def test_what_is_no_number_is_not_told() -> None:
    given = {"accuracy": 0.5, "interval": [0.1, 0.9], "loss": math.nan, "rows": 4}
    assert reported(None, 0.1, given) == {"learning_rate": 0.1, "eval_accuracy": 0.5, "eval_rows": 4}


def test_tensorboard_has_a_file_of_its_own_in_the_run(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="pip install 'softprompt[tracking]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = tmp_path / "shown"
    done(*bench(tmp_path).train(shown, set="max_steps=4", report_to="tensorboard"), "--set", "evaluations=2")
    events = EventAccumulator(str(shown / "tensorboard")).Reload()
    history = json.loads((shown / "metrics.json").read_text())["history"]
    for tag, key in (("train/loss", "train_loss"), ("eval/accuracy", "accuracy"), ("eval/loss", "loss")):
        found = [(one.step, one.value) for one in events.Scalars(tag)]
        own = [(one["step"], one[key]) for one in history if one[key] is not None]
        assert found == [(step, pytest.approx(value, abs=1e-6)) for step, value in own]
