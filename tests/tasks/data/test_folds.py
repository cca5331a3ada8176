"""Folds of training and validation rows: each row is held out once, classes keep their shares, no test row enters."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.errors import SoftPromptError
from softprompt.tasks import Row, Task
from softprompt.tasks.data.folds import Fold, of_fold

from ...shared.tables import REVIEWS


def task_of(count: int) -> Task:
    return REVIEWS.with_data([{"text": f"row {place}", "label": int(place % 4 == 0)} for place in range(count)])


def held_out(task: Task, place: int, folds: int) -> Task:
    assert task.source is not None
    return task.with_source(of_fold(task.source, Fold(place, folds)))


def texts(part: list[Row]) -> set[str]:
    return {row.fields["text"] for row in part}


@settings(max_examples=15, deadline=None)
@given(count=st.integers(40, 90), folds=st.integers(2, 6), seed=st.integers(0, 99))
def test_each_row_is_held_out_once_and_no_test_row_is_seen(count: int, folds: int, seed: int) -> None:
    task = task_of(count)
    own = task.splits(seed)
    pool, held = texts(own.train) | texts(own.validation), Counter[str]()
    for place in range(folds):
        splits = held_out(task, place, folds).splits(seed)
        parts = [texts(splits.train), texts(splits.validation), texts(splits.test)]
        assert parts[0] | parts[1] | parts[2] == pool
        assert sum(map(len, parts)) == len(pool)
        assert not pool & texts(own.test)
        share = len(own.validation) / len(pool)
        assert abs(len(parts[1]) - share * (len(pool) - len(parts[2]))) <= 1
        positive = sum(row.label == 1 for row in splits.test)
        assert abs(positive - len(splits.test) / 4) <= 1.5
        held.update(parts[2])
    assert held == Counter(pool)


def test_a_single_fold_is_the_tasks_own_division_without_its_test_rows() -> None:
    task = task_of(60)
    own, found = task.splits(5), held_out(task, 0, 1).splits(5)
    assert (found.train, found.validation, found.test) == (own.train, own.validation, [])
    assert own.test


def test_groups_stay_whole() -> None:
    task = Task(template="{text} {mask}", labels={"0": "no", "1": "yes"})
    rows = [{"text": f"row {place}", "label": str(place % 2), "group": f"g{place // 3}"} for place in range(60)]
    task = task.with_data(rows)
    for place in range(3):
        splits = held_out(task, place, 3).splits(1)
        groups = [{row.group for row in part} for part in (splits.train, splits.validation, splits.test)]
        assert not groups[0] & groups[1]
        assert not groups[2] & (groups[0] | groups[1])
        assert None not in groups[2]
        assert groups[2]


def test_too_few_groups_are_told() -> None:
    task = Task(template="{text} {mask}", labels={"0": "no", "1": "yes"})
    rows = [{"text": f"row {n}", "label": str(n % 2), "group": f"g{n % 3}"} for n in range(60)]
    for place in range(3):
        with pytest.raises(SoftPromptError, match="too few groups"):
            held_out(task.with_data(rows), place, 3).splits(1)


def test_what_cannot_be_folded_is_told() -> None:
    with pytest.raises(SoftPromptError, match=r"9 training and validation rows are too few for 4 folds: ask for fewer"):
        held_out(task_of(10), 0, 4).splits(1)
    task = Task.load("e2e").with_data([{"meaning": f"name[{place}]", "ref": f"it is {place}"} for place in range(40)])
    assert task.references
    with pytest.raises(SoftPromptError, match="has no folds: ask for 1"):
        held_out(task, 0, 4).splits(1)
