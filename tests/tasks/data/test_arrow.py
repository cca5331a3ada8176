"""Parquet and arrow files: types, names of classes, and what is damaged."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task
from softprompt.tasks.data.arrow import class_names, ipc_records, named, parquet_records
from softprompt.tasks.data.record import Columns
from softprompt.tasks.data.records import columns_of

from ...shared.tables import REVIEWS, told

ALL = Columns(frozenset({"text", "label"}), (), lambda cell: False)


def of(metadata: Any) -> pa.Schema:
    written = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    return pa.schema({"label": pa.int64()}).with_metadata({b"huggingface": written})


@pytest.mark.parametrize(
    "metadata",
    [
        b"\xff",
        b"{",
        [],
        {"info": []},
        {"info": {"features": {"label": {"_type": "ClassLabel"}}}},
        {"info": {"features": 1}},
    ],
)
def test_an_entry_that_names_no_classes_is_none(metadata: Any) -> None:
    assert class_names(of(metadata)) == {}


def test_names_of_classes() -> None:
    feature = {"_type": "ClassLabel", "names": ["neg", "pos"]}
    assert class_names(of({"info": {"features": {"label": feature}}})) == {"label": ("neg", "pos")}
    assert [named(number, ("neg", "pos")) for number in (0, 1, 2, -1, None)] == ["neg", "pos", 2, -1, None]


@pytest.mark.parametrize(
    ("labels", "names", "used"),
    [
        ({"neg", "pos"}, ("neg", "pos"), True),
        ({"0", "1"}, ("neg", "pos"), False),
        ({"neg"}, ("neg", "pos"), True),
        ({"0", "1", "2"}, ("1", "2", "3"), False),  # some of the numbers are names by chance
        ({"1", "2", "3"}, ("1", "2", "3"), True),
        ({"other"}, ("neg", "pos"), False),
    ],
)
def test_whether_names_or_numbers_are_the_labels(labels: set[str], names: tuple[str, ...], used: bool) -> None:
    assert Columns(frozenset(), (), labels.__contains__).names_count(names) is used


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_a_feather_file_in_each_form(compression: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.feather"
    table = pa.table({"text": ["a", "b"], "label": pa.array([0.1, 1.0], pa.float32()), "cost": [Decimal("1.50"), None]})
    feather.write_feather(table, path, compression=compression)
    assert [record.values for record in ipc_records(path, ALL)] == [
        {"text": "a", "label": 0.1, "cost": "1.50"},
        {"text": "b", "label": 1.0, "cost": None},
    ]


@pytest.mark.parametrize("name", ["rows.arrow", "rows.feather", "rows.parquet"])
@pytest.mark.parametrize("cut", [0, 5, 40, -30])
def test_a_file_that_is_cut_is_one_line(name: str, cut: int, tmp_path: Path) -> None:
    path = tmp_path / name
    table = pa.table({"text": ["good", "bad"] * 20, "label": [1, 0] * 20})
    pq.write_table(table, path) if name.endswith("parquet") else feather.write_feather(table, path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.with_data(path).splits()
    told(error, name)


def test_texts_that_are_no_unicode_and_columns_that_stand_twice(tmp_path: Path) -> None:
    wrong = pa.array([b"caf\xe9"]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": wrong, "label": [1]}), tmp_path / "rows.parquet")
    with pytest.raises(SoftPromptError, match="rows.parquet: not a parquet file"):
        REVIEWS.rows_from(tmp_path / "rows.parquet")
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    with pytest.raises(SoftPromptError, match="column 'text' stands twice"):
        REVIEWS.rows_of(twice)


def test_categories_of_many_values_count_once(tmp_path: Path) -> None:
    """Each batch hands on the whole dictionary; what a row stands for is its own value alone."""
    texts = pa.array([f"text of some length, number {number}" for number in range(20_000)]).dictionary_encode()
    pq.write_table(pa.table({"text": texts, "label": [0, 1] * 10_000}), tmp_path / "rows.parquet")
    task = Task(template="{text} {mask}", labels=["0", "1"]).with_data(tmp_path / "rows.parquet")
    assert len(task.splits().train) == 16_000


def test_a_time_that_python_has_not_is_a_text(tmp_path: Path) -> None:
    times = pa.array([0, 2**61], pa.timestamp("us"))
    pq.write_table(pa.table({"text": ["a", "b"], "label": ["0", "1"], "at": times}), tmp_path / "rows.parquet")
    found = [record.values["at"] for record in parquet_records(tmp_path / "rows.parquet", columns_of(REVIEWS))]
    assert found[0] == "1970-01-01"
    assert isinstance(found[1], str)
