"""Each answer with how right it is, for every kind of task."""

from __future__ import annotations

import pytest

from softprompt.evaluation.predictions import Predictions
from softprompt.explain.report.judged import judged, outcomes_of, wilson
from softprompt.readouts import Outcome
from softprompt.tasks import Row, Task


def test_classes_numbers_and_texts() -> None:
    classes = Task(name="c", template="{text} {mask}", labels={"neg": "bad", "pos": "good"})
    rows = [Row({"text": "a film"}, 0, file="x/a.tsv", line=3), Row({"text": "b"}, 1)]
    wrong, right = judged(classes, rows, [Outcome(1, (0.2, 0.8), 0.1), Outcome(1, (0.4, 0.6), 0.1)])
    assert (wrong.label, wrong.answer, wrong.score, wrong.probability) == ("neg", "pos", 0.0, 0.8)
    assert (wrong.where, wrong.words, wrong.place) == ("a.tsv:3", 2, 1)
    assert right.score == 1.0
    numbers = Task(name="r", kind="regression", template="{text} {mask}", bounds=(0, 5))
    assert judged(numbers, [Row({"text": "a"}, 2.0)], [Outcome(3.5, None, None)])[0].score == 1.5
    written = Task(name="g", kind="generation", template="{text} {mask}", metrics=("exact_match",))
    found = judged(written, [Row({"text": "a"}, "yes", answers=("yes",))], [Outcome("no", None, None)])
    assert (found[0].answer, found[0].label, found[0].score) == ("no", "yes", 0.0)


def test_recorded_answers_have_no_probabilities() -> None:
    known = Predictions(kind="classification", labels={"a": "a", "b": "b"}, label=(0, 1), prediction=(1, 1))
    assert [(one.prediction, one.probabilities) for one in outcomes_of(known)] == [(1, None), (1, None)]


def test_wilson_ends_are_exact_at_none_and_all() -> None:
    assert wilson(0, 10)[0] == 0
    assert wilson(10, 10)[1] == 1
    assert wilson(0, 0) == (0, 1)
    low, high = wilson(50, 100)
    assert (low, high) == (pytest.approx(0.4038, abs=1e-4), pytest.approx(0.5962, abs=1e-4))
