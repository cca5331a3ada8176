"""Hard prompts: calibrations against their papers, and the best of several templates."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from softprompt.methods import HardPrompt
from softprompt.tasks import Task
from softprompt.training.courses.hard_prompt import contextual, median
from softprompt.training.run import Run, open_run, train

from ...shared.models import tokenizer
from ...shared.prompts import model
from ...shared.runs import run, task

TEXTS = ["w20 w41", "w30 w41 w42 w43", "w55", "w66 w77"]


def by_hand(family: str, text: str) -> torch.Tensor:
    """Log-probabilities of w10 and w11 after (or at the mask after) a text."""
    row = tokenizer()(text, add_special_tokens=False)["input_ids"] + ([3] if family == "bert" else [])
    with torch.no_grad():
        last = model(family)(torch.tensor([row])).logits[0, -1]
    return last[[10, 11]].log_softmax(-1)


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_contextual_calibration_divides_by_the_content_free_probability(family: str, tmp_path: Path) -> None:
    """Zhao et al. 2021: softmax(W p), W = diag(p_cf)^-1; a blank row is the begin token on a Llama."""
    done = run(tmp_path, family, HardPrompt(calibration="contextual"))
    free = ["N/A", "[MASK]", "" if family == "bert" else "[CLS]"]
    p_cf = torch.stack([by_hand(family, text).exp() for text in free]).mean(0)
    for text, outcome in zip(TEXTS, done.prompt.outcomes(TEXTS), strict=True):
        q = by_hand(family, text).exp() / p_cf
        assert outcome.probabilities == pytest.approx((q / q.sum()).tolist(), abs=1e-5)
    assert list(done.metrics["calibration"].values()) == pytest.approx((-p_cf.log()).tolist(), abs=1e-5)


@pytest.mark.parametrize("family", ["llama", "bert", "t5"])
def test_the_median_splits_the_training_rows_in_halves(family: str, tmp_path: Path) -> None:
    done = run(tmp_path, family, HardPrompt(calibration="median"))
    rows = task(tmp_path / "data").splits(3).train
    found = [outcome.prediction for outcome in done.prompt.outcomes([dict(row.fields) for row in rows])]
    assert len(rows) % 2 == 0
    assert abs(sum(int(one) for one in found) - len(rows) / 2) <= 1


def test_the_median_of_two_classes_is_a_threshold_and_needs_no_labels() -> None:
    scores = torch.tensor([-3.0, -1.0, 2.0, 7.0])
    logs = torch.stack([torch.zeros(4), scores], dim=1).log_softmax(-1)
    bias = median(logs)
    assert float(bias[1] - bias[0]) == pytest.approx(-0.5)  # the median of the differences is 0.5
    three = torch.randn(9, 3).log_softmax(-1)
    centred = three + median(three)
    assert (centred - three.mean(-1, keepdim=True)).quantile(0.5, dim=0).tolist() == pytest.approx([0.0] * 3, abs=1e-6)
    even = torch.full((2, 4), math.log(0.25))
    assert (contextual(even) - contextual(even)[0]).abs().max() < 1e-6


@pytest.mark.parametrize("calibration", ["contextual", "median"])
def test_a_calibration_is_stored_and_applied(calibration: Any, tmp_path: Path) -> None:
    done = run(tmp_path, "llama", HardPrompt(calibration=calibration))
    again = open_run(tmp_path / "run", model("llama"), tokenizer())
    for one, other in zip(done.prompt.outcomes(TEXTS), again.prompt.outcomes(TEXTS), strict=True):
        assert one.probabilities == other.probabilities
    plain = run(tmp_path / "plain", "llama", HardPrompt(), data=tmp_path / "data")
    assert plain.prompt.outcomes(TEXTS)[0].probabilities != done.prompt.outcomes(TEXTS)[0].probabilities
    assert plain.metrics["stored_parameters"] == 0
    assert done.metrics["stored_parameters"] == 2


TEMPLATES = ("w50 {text} w51 {mask}", "{text} w90 w91 {mask}", "w60 {text} {mask}")


def compared(folder: Path, **options: Any) -> Run:
    return run(folder, "llama", HardPrompt(templates=TEMPLATES, **options))


def test_the_best_template_on_the_validation_rows_is_stored(tmp_path: Path) -> None:
    done = compared(tmp_path)
    tried = done.metrics["templates"]
    assert [one["template"] for one in tried] == ["{text} {mask}", *TEMPLATES]
    best = max(tried, key=lambda one: (one["validation"]["accuracy"], -one["validation"]["loss"]))
    assert done.metrics["template"] == best["template"]
    assert done.metrics["validation"]["loss"] == pytest.approx(best["validation"]["loss"], rel=1e-6)
    stored = json.loads((tmp_path / "run" / "prompt" / "prompt.json").read_text())
    assert stored["task"]["template"] == best["template"]
    alone = Task(template=best["template"], labels={"0": "w10", "1": "w11"})
    loaded = alone.with_data(tmp_path / "data" / "rows.jsonl", seed=1)
    single = train(
        model("llama"), tokenizer(), loaded, "hard_prompt", output=tmp_path / "single", seed=3, progress=False
    )
    assert single.metrics["test"] == done.metrics["test"]
    again = open_run(tmp_path / "run", model("llama"), tokenizer())
    assert again.prompt.outcomes(TEXTS) == single.prompt.outcomes(TEXTS)


def test_templates_are_compared_as_they_are_calibrated(tmp_path: Path) -> None:
    done = compared(tmp_path, calibration="median")
    assert len({tuple(one["calibration"]) for one in done.metrics["templates"]}) == 4
    chosen = next(one for one in done.metrics["templates"] if one["template"] == done.metrics["template"])
    assert list(done.metrics["calibration"].values()) == chosen["calibration"]
    assert done.metrics["validation"]["loss"] == pytest.approx(chosen["validation"]["loss"], rel=1e-6)
