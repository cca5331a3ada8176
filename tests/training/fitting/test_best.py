"""The best state: what is chosen by, and when a run is no better."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from softprompt.training.fitting.best import BestState, rank

from ...shared.prompts import METHODS
from ...shared.runs import run


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_never_wins_or_ties(bad: float) -> None:
    good, layer = {"accuracy": 0.1, "loss": 9.0}, torch.nn.Linear(2, 2)
    for worse in ({"accuracy": 1.0, "loss": bad}, {"accuracy": bad, "loss": 0.1}, {"accuracy": bad, "loss": None}):
        assert rank(good, "accuracy") > rank(worse, "accuracy")
        assert not rank(worse, "accuracy") > rank(worse, "accuracy")
        selection = BestState()
        assert not selection.offer(worse, "accuracy", 0, layer)
        assert selection.offer(good, "accuracy", 1, layer)
        assert not selection.offer(worse, "accuracy", 2, layer)
        assert (selection.step, selection.stale) == (1, 1)
    with torch.no_grad():
        layer.bias[0] = bad
    assert not BestState().offer(good, "accuracy", 0, layer)


def test_validation_picks_the_stored_state(tmp_path: Path) -> None:
    done = run(tmp_path, "llama", METHODS["capt"], max_steps=20, evaluations=10, learning_rate=0.5, patience=99)
    best = max(done.metrics["history"], key=lambda point: (point["accuracy"], -point["loss"]))
    assert done.metrics["validation"]["accuracy"] == best["accuracy"]
    assert done.metrics["validation"]["loss"] == pytest.approx(best["loss"], rel=1e-4)


def test_patience_stops_a_run_that_gets_no_better(tmp_path: Path) -> None:
    done = run(tmp_path, "llama", METHODS["hard_prompt"], patience=1)
    assert done.metrics["history"] == []
    stopped = run(
        tmp_path / "x", "llama", METHODS["capt"], max_steps=400, evaluations=100, patience=2, learning_rate=1e-9
    )
    assert stopped.metrics["history"][-1]["step"] < 400
