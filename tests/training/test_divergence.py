"""A loss, a gradient or a parameter that is not finite: nothing is poisoned, nothing wins, and it is told."""

from __future__ import annotations

import copy
import json
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import softprompt as sp
from softprompt.errors import SoftPromptError
from softprompt.readouts.base import Readout
from softprompt.training.divergence import LIMIT, Diverged, Guard
from softprompt.training.fitting import stage

from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS
from ..shared.runs import Interrupting, run


class Poison:
    """The loss of training batch after batch is made NaN from the n-th on, for as many as told."""

    def __init__(self, start: int, count: int = 10**6) -> None:
        self.start, self.count, self.seen = start, count, 0

    def __call__(self, readout: Readout, scores: Tensor, batch: Any) -> Tensor:
        self.seen += 1
        loss = torch.nn.functional.nll_loss(scores, torch.tensor(batch["labels"]))
        return loss * float("nan") if self.start <= self.seen < self.start + self.count else loss


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(*given: int) -> None:
        poison = Poison(*given)
        monkeypatch.setattr(Readout, "loss_of", lambda self, scores, batch: poison(self, scores, batch))
        monkeypatch.setattr(stage, "layers_run_again", lambda *_: False)  # whose passes would be counted

    return use


def strict(path: Path) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{path} holds {constant}")

    return json.loads(path.read_text(), parse_constant=refuse)


def all_strict(folder: Path) -> None:
    assert [strict(path) for path in folder.rglob("*.json")]


def test_a_bad_step_moves_nothing_and_the_run_goes_on(poisoned: Any, tmp_path: Path) -> None:
    poisoned(4, LIMIT - 1)
    done = run(tmp_path, "llama", METHODS["prompt_tuning"], max_steps=12, evaluations=12, patience=99)
    states = [point["loss"] for point in done.metrics["history"]]
    assert len(set(states[3 : 3 + LIMIT])) == 1  # steps 4 to 7 moved nothing
    assert states[8] != states[7]
    assert [point["train_loss"] for point in done.metrics["history"]][4:8] == [None] * 4
    all_strict(tmp_path / "run")


def test_a_run_that_diverged_keeps_its_best_state_and_says_what_to_try(poisoned: Any, tmp_path: Path) -> None:
    poisoned(5)
    options = {"max_steps": 40, "evaluations": 20}
    with pytest.raises(Diverged, match="step 9: the loss was nan for 5 steps running") as error:
        run(tmp_path, "llama", METHODS["prompt_tuning"], **options)
    line = str(error.value)
    assert "\n" not in line
    assert all(word in line for word in ("lower learning_rate (now 0.01)", "float32", "max_grad_norm", "prompt"))
    all_strict(tmp_path / "run")
    opened = sp.open_run(tmp_path / "run", model("llama"), tokenizer())
    assert opened.metrics["diverged"]["step"] == 9
    assert math.isfinite(opened.metrics["test"]["loss"])
    assert opened.predict(["w20 w41"])
    # Resuming says the same, and trains no step.
    counted = Interrupting(10**6)
    with pytest.raises(Diverged) as again:
        run(tmp_path, "llama", METHODS["prompt_tuning"], resume=True, progress=counted, **options)
    assert (str(again.value), counted.done) == (line, 0)
    (tmp_path / "run" / "metrics.json").unlink()  # killed before it was finished
    with pytest.raises(Diverged) as after:
        run(tmp_path, "llama", METHODS["prompt_tuning"], resume=True, progress=counted, **options)
    assert (str(after.value), counted.done) == (line, 0)


def test_a_run_whose_last_step_is_bad_has_diverged(poisoned: Any, tmp_path: Path) -> None:
    poisoned(4)
    with pytest.raises(Diverged, match="step 4: the loss was nan;"):
        run(tmp_path, "llama", METHODS["prompt_tuning"], max_steps=4, evaluations=2)
    assert (tmp_path / "run" / "prompt").is_dir()


def test_an_interruption_among_bad_steps_is_counted_on(poisoned: Any, tmp_path: Path) -> None:
    from softprompt.errors import Interrupted

    poisoned(3)
    options = {"max_steps": 40, "evaluations": 2}
    with pytest.raises(Interrupted):
        run(tmp_path, "llama", METHODS["prompt_tuning"], progress=Interrupting(4), **options)
    with pytest.raises(Diverged, match="step 7: the loss was nan for 5 steps running"):
        run(tmp_path, "llama", METHODS["prompt_tuning"], resume=True, **options)


@pytest.mark.parametrize(("method", "family"), [("prompt_tuning", "llama"), ("head_only", "bert"), ("lora", "gpt2")])
def test_a_rate_beyond_all_measure_never_stores_what_is_not_finite(method: str, family: str, tmp_path: Path) -> None:
    extra = {"readout": "head"} if family == "bert" else {}
    with suppress(Diverged):
        rates = {"learning_rate": 1e9} if method != "head_only" else {"head_learning_rate": 1e9}
        run(tmp_path, family, METHODS[method], **rates, **extra)
    prompt = sp.load(tmp_path / "run" / "prompt", model(family), tokenizer())
    assert prompt.predict(["w20 w41"])
    all_strict(tmp_path / "run")


def test_without_a_finite_state_nothing_is_stored(tmp_path: Path) -> None:
    def broken() -> Any:
        made = copy.deepcopy(model("llama"))
        with torch.no_grad():
            made.get_output_embeddings().weight.fill_(float("nan"))
        return made

    from softprompt.training.run import train

    from ..shared.runs import task

    given = {"output": tmp_path / "run", "progress": False, "batch_size": 4, "max_steps": 10}
    for resume in (False, True):
        with pytest.raises(SoftPromptError, match="nothing of it can be stored"):
            train(broken(), tokenizer(), task(tmp_path), METHODS["prompt_tuning"], resume=resume, **given)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["run.json", "state"]
    good = run(tmp_path / "good", "llama", METHODS["prompt_tuning"], max_steps=1).prompt
    good.model = broken()
    for ask in (good.predict, good.outcomes):
        with pytest.raises(SoftPromptError, match="row 1 of 1: the model's scores are not finite"):
            ask(["w20 w41"])
    with pytest.raises(SoftPromptError, match="not finite, so nothing is stored"):
        train(broken(), tokenizer(), task(tmp_path), "hard_prompt", output=tmp_path / "hard", progress=False)
    assert not (tmp_path / "hard" / "prompt").exists()


def test_a_search_that_diverged_stores_nothing(poisoned: Any, tmp_path: Path) -> None:
    poisoned(2)
    for resume in (False, True):
        with pytest.raises(Diverged, match="of stage search"):
            run(
                tmp_path,
                "llama",
                METHODS["capt"].model_copy(update={"select": "learned:1"}),
                max_steps=40,
                resume=resume,
            )
    assert not (tmp_path / "run" / "prompt").exists()


def test_the_guard() -> None:
    guard = Guard()
    assert guard.passes(1.0, 1)
    guard.see(math.inf)
    guard.see(1.0)  # another batch of the same step
    assert not guard.passes(1.0, 2)
    assert guard.fault == {"step": 2, "what": "loss", "value": "inf", "running": 1}
    assert (guard.over(last=False), guard.over(last=True)) == (False, True)
    for step in range(3, 2 + LIMIT):
        assert not guard.passes(math.nan, step)
    assert guard.over(last=False)
    other = Guard()
    other.take(json.loads(json.dumps(guard.state())))
    assert other.over(last=False)
    assert guard.passes(1.0, 9)
    assert not guard.over(last=True)
