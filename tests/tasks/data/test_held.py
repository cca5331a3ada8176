"""Tables in memory and folders of `datasets`: what is none is told in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task

from ...shared.tables import REVIEWS, told

ROWS = [{"text": f"text {number}", "label": number % 2} for number in range(30)]
FRAME = pd.DataFrame(ROWS)


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (5, ("data is of type int", "a list of mappings")),
        (b"rows.csv", ("data is of type bytes",)),
        ([], ("data: no rows",)),
        (FRAME[:0], ("data: no rows",)),
        (["good"], ("data, line 1: 'good' is no mapping",)),
        ({"text": ["good"], "label": [1]}, ("'text' or 'label' are columns: make one table", "pandas.DataFrame")),
        ({"other": ROWS}, ("looked for the splits train, validation, test", "'other'")),
        ({"train": "good"}, ("data, train: 'good' is no table",)),
        (pd.DataFrame([["a", "b"]], columns=["text", "text"]), ("data: column 'text' stands twice",)),
        ([{"text": "a", "label": 7}], ("data, line 1: label '7'",)),
    ],
)
def test_what_is_no_table(data: Any, parts: tuple[str, ...]) -> None:
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.with_data(data).splits()
    told(error, *parts)


@pytest.mark.parametrize(("values", "shown"), [("good", "'good'"), ({"text": "a"}, "'text'"), (5, "5"), (None, "None")])
def test_one_value_is_no_list_of_rows(values: Any, shown: str) -> None:
    """A string was read as a row a letter, a mapping as a row a key."""
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.rows_of(values)
    told(error, shown, "give a list")


def test_texts_may_be_a_series_an_array_or_a_generator() -> None:
    for values in (pd.Series(["a", "b"]), np.array(["a", "b"]), (text for text in "ab")):
        assert [row.fields["text"] for row in REVIEWS.rows_of(values)] == ["a", "b"]


def test_a_table_for_each_split_is_a_published_division() -> None:
    data = {"train": FRAME, "dev": pa.Table.from_pandas(FRAME), "test": ROWS[:4]}
    splits = REVIEWS.with_data(data).splits()
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (30, 30, 4)
    secret = REVIEWS.with_data({**data, "test": [{"text": "a", "label": -1}]}).splits()
    assert secret.protocol == "official validation is test"


def test_splits_of_other_names_are_told() -> None:
    """They were left aside in silence, and the training rows divided in their place."""
    splits = REVIEWS.with_data({"train": FRAME, "eval": FRAME, "Test": FRAME}).splits()
    assert [note for note in splits.notes if note.startswith("not read: 'eval' or 'Test'; splits are called train")]
    assert not REVIEWS.with_data({"train": FRAME, "val": FRAME, "test": FRAME}).splits().notes


def test_files_of_other_names_are_told(tmp_path: Path) -> None:
    for name in ("train", "Test", "evaluation", "dictionary"):
        FRAME.to_csv(tmp_path / f"{name}.csv", index=False)
    notes = REVIEWS.with_data(tmp_path).splits().notes
    assert [note for note in notes if "not read" in note and "'Test.csv'" in note and "'evaluation.csv'" in note]
    assert not any("dictionary" in note for note in notes)


def test_tables_of_single_parts_and_folders_of_them(tmp_path: Path) -> None:
    datasets.disable_progress_bars()
    datasets.Dataset.from_list(ROWS[:5]).save_to_disk(str(tmp_path / "test"))
    splits = REVIEWS.with_data(FRAME, validation_data=ROWS[:3], test_data=tmp_path / "test").splits()
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (30, 3, 5)
    assert [row.label for row in REVIEWS.labelled_rows(tmp_path / "test")] == [0, 1, 0, 1, 0]
    with pytest.raises(SoftPromptError, match="test_data: holds the splits 'train'; .* give the table of one"):
        REVIEWS.with_data(FRAME, test_data={"train": ROWS}).splits()


def test_a_generator_is_read_once_and_kept() -> None:
    task = REVIEWS.with_data(row for row in ROWS)
    assert task.splits(1) == task.splits(1)


def test_one_table_is_divided_as_a_file_is(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    FRAME.to_csv(path, index=False)
    of_file, of_frame = REVIEWS.with_data(path).splits(), REVIEWS.with_data(FRAME).splits()
    assert of_file == of_frame
    assert of_frame.protocol == "one file"


def test_folders_of_data_sets(tmp_path: Path) -> None:
    datasets.disable_progress_bars()
    data = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict(train=data, test=data).save_to_disk(str(tmp_path / "all"))
    assert len(REVIEWS.with_data(tmp_path / "all").splits().test) == 30
    assert len(REVIEWS.rows_from(tmp_path / "all" / "test")) == 30
    with pytest.raises(SoftPromptError, match="holds the splits 'train' or 'test'; name the folder or give"):
        REVIEWS.rows_from(tmp_path / "all")
    (shard,) = (tmp_path / "all" / "test").glob("*.arrow")
    assert len(REVIEWS.rows_from(shard)) == 30
    state = tmp_path / "all" / "test" / "state.json"
    state.write_text(json.dumps({"_data_files": 5}))
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.with_data(tmp_path / "all").splits()
    told(error, "not a data set that can be read", "save it again")


def test_numbers_and_dates_of_pandas_are_the_texts_of_csv(tmp_path: Path) -> None:
    task = Task(template="{text} {price} {day} {mask}", labels=["0", "1"])
    frame = FRAME.assign(price=np.float32(0.1), day=pd.Timestamp("2024-01-02"), label=pd.array(FRAME["label"], "Int64"))
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.to_parquet(tmp_path / "rows.parquet")
    for path in (tmp_path / "rows.csv", tmp_path / "rows.parquet"):
        rows = [(dict(row.fields), row.index) for row in task.rows_from(path)]
        assert rows == [(dict(row.fields), row.index) for row in task.rows_of(frame)]


@pytest.mark.parametrize("count", [1, 2])
def test_a_frame_of_a_parquet_file_is_what_the_file_is(count: int, tmp_path: Path) -> None:
    text = "The 7 came after the 7 of him"
    rows = [
        {"context": text, "question": f"which {n}?", "answers": {"text": ["7"] * count, "answer_start": [21] * count}}
        for n in range(29)
    ]
    rows.append({"context": text, "question": "why?", "answers": {"text": [], "answer_start": []}})
    table = pa.Table.from_pylist(rows)
    pq.write_table(table, tmp_path / "squad.parquet")
    of_file, of_frame = (
        Task.from_file(data).splits()
        for data in (tmp_path / "squad.parquet", pd.read_parquet(tmp_path / "squad.parquet"))
    )
    assert of_frame.train == of_file.train
    assert {row.label for row in of_frame.train} == {(21, 22), ()}
