"""The published files themselves, where they are at hand."""

from __future__ import annotations

from collections import Counter

import pytest

from softprompt.tasks import Task

from ...shared.outside import outside

SUPERGLUE = {
    "cb": (225, 25, 56),
    "copa": (360, 40, 100),
    "rte": (2241, 249, 277),
    "multirc": (27_243 - 2720, 2720, 4848),
}
FEW_SHOT = {
    "sst2": (2, 872),
    "mr": (2, 2000),
    "sst5": (5, 2210),
    "trec": (6, 500),
    "rte": (2, 277),
    "mrpc": (2, 408),
}


@pytest.mark.parametrize("name", SUPERGLUE)
def test_superglue(name: str) -> None:
    splits = Task.load(name, data=outside("data", "superglue")).splits()
    assert splits.protocol == "official validation is test"
    assert splits.notes == ()
    if name == "multirc":  # whole questions validate, so the tenth is not exact
        assert len(splits.train) + len(splits.validation) == 27_243
        assert 2700 <= len(splits.validation) <= 2724
        assert len({row.group for row in splits.test}) == 953
        assert len(splits.test) == 4848
    else:
        assert (len(splits.train), len(splits.validation), len(splits.test)) == SUPERGLUE[name]


@pytest.mark.parametrize("seed", [13, 21, 42, 87, 100])
@pytest.mark.parametrize("name", FEW_SHOT)
def test_few_shot(name: str, seed: int) -> None:
    classes, tests = FEW_SHOT[name]
    task = Task.load(name, data=outside("data", "fewshot"), seed=seed)
    splits = task.splits()
    assert splits.protocol == "published"
    for part in (splits.train, splits.validation):
        assert Counter(row.label for row in part) == dict.fromkeys(range(classes), 16)
    assert len(splits.test) == tests
    assert Task.load(name, data=outside("data", "fewshot"), seed=seed, shots=16).splits().train == splits.train


def test_the_classes_of_trec() -> None:
    rows = Task.load("trec", data=outside("data", "fewshot")).splits().test
    words = Task.load("trec").label_words()
    found = {row.fields["sentence"]: words[int(row.label or 0)] for row in rows}
    assert found["How far is it from Denver to Aspen ?"] == "Number"
    assert found["What is an atom ?"] == "Description"
    assert found["Who was Galileo ?"] == "Human"
    assert found["What county is Modesto , California in ?"] == "Location"


def test_sst2_in_full() -> None:
    splits = Task.load("sst2", data=outside("data", "glue")).splits()
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (67_349, 872, 1821)
    assert splits.protocol == "published"


@pytest.mark.parametrize("name", ["cb", "copa", "rte", "multirc"])
def test_secret_test_files_can_be_predicted(name: str) -> None:
    task = Task.load(name)
    folder = {"cb": "CB", "copa": "COPA", "rte": "RTE", "multirc": "MultiRC"}[name]
    rows = task.rows_from(outside("data", "superglue", folder, "test.jsonl"))
    assert {"cb": 250, "copa": 500, "rte": 3000, "multirc": 9693}[name] == len(rows)
