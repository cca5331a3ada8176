"""Curves of a training that is under way, and of one that is finished."""

from __future__ import annotations

from softprompt.explain.curves import curves

HISTORY = [
    {"step": 0, "train_loss": None, "accuracy": 0.5, "loss": 0.7},
    {"step": 5, "train_loss": 0.5, "accuracy": 0.8, "loss": 0.6},
    {"stage": "search", "turn": 1, "gates": [0.5]},
]


def test_a_training_under_way_has_no_kept_state() -> None:
    loss, metric = curves(HISTORY, "accuracy", 24)
    assert len(loss.table.rows) == 1 + 2
    assert loss.table.foot == metric.table.foot == ()
    assert "Each point is an evaluation" in loss.caption
    assert "the 24 validation rows" in metric.caption


def test_the_kept_step_is_marked() -> None:
    loss, metric = curves(HISTORY, "accuracy", kept=5.0)
    assert metric.table.foot == ("kept state: validation rows at 5, 0.8",)
    assert "the validation rows" in metric.caption
    assert "kept" in loss.caption


def test_one_point_is_no_curve() -> None:
    assert curves(HISTORY[:1], "accuracy") == []
    assert curves([], "accuracy") == []
