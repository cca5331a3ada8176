"""Metrics against scikit-learn, scipy and derivations written here from the definitions."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from softprompt.tasks import Row, Task, evaluate

from ..shared.tables import THREE, labelled

pairs = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40)


@given(pairs)
@settings(deadline=None, max_examples=40)
def test_classification_as_scikit_learn_scores_it(data: list[tuple[int, int]]) -> None:
    real, guessed = map(list, zip(*data, strict=True))
    found = evaluate(THREE, labelled(real), guessed)
    binary = [int(value == 1) for value in real], [int(value == 1) for value in guessed]
    macro = sk.f1_score(real, guessed, average="macro", zero_division=0)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(real, guessed))
    assert found["macro_f1"] == pytest.approx(macro)
    assert found["f1"] == pytest.approx(sk.f1_score(*binary, zero_division=0))
    assert found["cb_score"] == pytest.approx((macro + sk.accuracy_score(real, guessed)) / 2)
    if len(set(real)) > 1 and len(set(guessed)) > 1:
        assert found["matthews"] == pytest.approx(sk.matthews_corrcoef(real, guessed))
    else:
        assert found["matthews"] == 0
    assert found["rows"] == len(data)
    low, high = found["interval"]
    assert 0 <= low <= found["accuracy"] <= high <= 1


def test_a_task_of_many_classes_takes_no_memory_by_pairs_of_them() -> None:
    task = Task(template="{a}", labels=[f"class {n}" for n in range(300)], metrics=["macro_f1", "matthews"])
    real, guessed = [n % 300 for n in range(600)], [n * 7 % 300 for n in range(600)]
    tracemalloc.start()
    found = evaluate(task, labelled(real), guessed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found["macro_f1"] == pytest.approx(sk.f1_score(real, guessed, average="macro", zero_division=0))
    assert found["matthews"] == pytest.approx(sk.matthews_corrcoef(real, guessed))
    assert peak < 100e6


numbers = st.floats(-10, 10).map(lambda value: round(value, 2))


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=30))
@settings(deadline=None, max_examples=40)
def test_correlations_as_scipy_computes_them(data: list[tuple[float, float]]) -> None:
    task = Task(template="{a}", kind="regression", metrics=["pearson", "spearman"])
    real, guessed = map(np.array, zip(*data, strict=True))
    found = evaluate(task, labelled(real.tolist()), guessed.tolist())
    if len(set(real)) > 1 and len(set(guessed)) > 1:
        assert found["pearson"] == pytest.approx(stats.pearsonr(real, guessed).statistic, abs=1e-6)
        assert found["spearman"] == pytest.approx(stats.spearmanr(real, guessed).statistic, abs=1e-6)
    else:
        assert (found["pearson"], found["spearman"]) == (0, 0)


def test_multirc_by_question() -> None:
    generator = np.random.default_rng(3)
    groups = [f"{number // 5}" for number in range(200)]
    real = generator.integers(0, 2, 200).tolist()
    guessed = [
        int(label if chance < 0.8 else 1 - label) for label, chance in zip(real, generator.random(200), strict=True)
    ]
    rows = [Row({}, label, group=group, index=i) for i, (label, group) in enumerate(zip(real, groups, strict=True))]
    task = Task.load("multirc")
    found = evaluate(task, rows, guessed)
    right: dict[str, bool] = {}
    for group, label, guess in zip(groups, real, guessed, strict=True):
        right[group] = right.get(group, True) and label == guess
    assert found["f1a"] == pytest.approx(sk.f1_score(real, guessed))
    assert found["em"] == pytest.approx(sum(right.values()) / 40)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(real, guessed))
    low, high = found["interval"]
    assert low < found["f1a"] < high
    by_question = Task.load("multirc").model_copy(update={"metrics": ("em",)})
    interval = stats.binomtest(sum(right.values()), 40).proportion_ci(method="wilson")
    assert evaluate(by_question, rows, guessed)["interval"] == pytest.approx([interval.low, interval.high])


def test_record_takes_the_best_answer() -> None:
    choices = ("the White House", "Barack Obama", "Obama", "Ann")
    rows = [
        Row({}, 1, choices, index=0, answers=("Barack Obama", "Obama")),
        Row({}, 0, choices, index=1, answers=("White House",)),
        Row({}, 3, choices, index=2, answers=("Ann",)),
        Row({}, 1, choices, index=3, answers=("Barack Obama",)),
    ]
    found = evaluate(Task.load("record"), rows, [2, 0, 1, "Obama"])
    # Right by the second answer; right once the article is dropped; wrong; half of the words.
    assert found["record_em"] == pytest.approx(2 / 4)
    assert found["record_f1"] == pytest.approx((1 + 1 + 0 + 2 / 3) / 4)


def test_choices_by_index_or_text() -> None:
    rows = [Row({}, 0, ("a", "b"), answers=("a",)), Row({}, 1, ("a", "b"), answers=("b",))]
    assert evaluate(Task.load("copa"), rows, [0, 0])["accuracy"] == 0.5
    assert evaluate(Task.load("copa"), rows, ["a", "b"])["accuracy"] == 1.0


def test_generation() -> None:
    task = Task(template="{a}", kind="generation", metrics=["exact_match", "token_f1"])
    rows = [Row({}, "x", answers=("The cat.", "a dog")), Row({}, "x", answers=("red apple",))]
    found = evaluate(task, rows, ["cat", "an apple"])
    assert found["exact_match"] == 0.5
    assert found["token_f1"] == pytest.approx((1 + 2 / 3) / 2)
