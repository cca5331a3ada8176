"""Tables come back as they were written, whole or not at all."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from softprompt.errors import SoftPromptError
from softprompt.files.tables import Columns, table_for, writing_table
from softprompt.tasks.data.csv_rows import csv_rows
from softprompt.tasks.data.lines import text_file

ROWS: list[Mapping[str, object]] = [
    {"text": 'a, "b"', "n": 1, "on": True, "day": date(2020, 1, 2), "nested": {"a": [1]}},
    {"text": "c", "n": 2.5, "more": None},
]


def written(path: Path, rows: list[Mapping[str, object]] = ROWS) -> Path:
    columns = Columns(path)
    for row in rows:
        columns.see(row)
    with writing_table(columns, {"label": str}) as write:
        for row in rows:
            write([{**row, "label": "x"}])
    return path


def test_text_tables_hold_the_union_of_the_columns(tmp_path: Path) -> None:
    with written(tmp_path / "a.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert first == {
        "text": 'a, "b"', "n": "1", "on": "true", "day": "2020-01-02", "nested": '{"a": [1]}', "more": "", "label": "x"
    }  # fmt: skip
    assert (second["n"], second["on"], second["label"]) == ("2.5", "", "x")
    lines = written(tmp_path / "a.tsv").read_text().splitlines()
    assert [len(line.split("\t")) for line in lines] == [7, 7, 7]
    assert lines[1].startswith('a, "b"\t1\t')


def test_jsonl_and_parquet_keep_types(tmp_path: Path) -> None:
    first, second = map(json.loads, written(tmp_path / "a.jsonl").read_text().splitlines())
    assert first == {**ROWS[0], "day": "2020-01-02", "label": "x"}
    assert second == {**ROWS[1], "label": "x"}
    table = pq.read_table(written(tmp_path / "a.parquet"))
    assert table.column("n").to_pylist() == [1.0, 2.5]
    assert table.column("on").to_pylist() == [True, None]
    assert table.column("day").to_pylist() == [date(2020, 1, 2), None]
    assert table.column("nested").to_pylist() == ['{"a": [1]}', None]


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("before")

    def fail() -> None:
        with writing_table(Columns(path), {"label": str}) as write:
            write([{"label": "x"}])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize("text", ["a\tb", "a\nb", "a\rb"])
def test_a_tsv_file_holds_no_breaks(tmp_path: Path, text: str) -> None:
    with pytest.raises(SoftPromptError, match="row 1 has a tab or a line end in column 'text'"):
        written(tmp_path / "a.tsv", [{"text": text}])
    assert written(tmp_path / "a.csv", [{"text": text}]).is_file()


def test_what_parquet_cannot_hold_is_told(tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError, match="parquet cannot hold the rows"):
        written(tmp_path / "a.parquet", [{"n": 2**70}])
    assert not (tmp_path / "a.parquet").exists()


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError, match="choose one of these endings"):
        table_for(tmp_path / "a.xlsx", "--out")


@pytest.mark.parametrize("text", ["a\rb", "a\r\nb", 'a\r"b"', "\r"])
def test_a_carriage_return_ends_no_row_of_a_csv_file(tmp_path: Path, text: str) -> None:
    path = written(tmp_path / "a.csv", [{"text": text, "n": 1}, {"text": "c", "n": 2}])
    with text_file(path) as file:
        assert [cells for _, cells in csv_rows(file)] == [["text", "n", "label"], [text, "1", "x"], ["c", "2", "x"]]


def test_a_tsv_file_has_no_column_with_a_break_in_its_name(tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError, match=r"column 'a\\tb' has a tab"):
        written(tmp_path / "a.tsv", [{"a\tb": "x"}])
