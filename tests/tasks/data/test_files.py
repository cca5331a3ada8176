"""Bad input: each fault gives one line that names the file, the place and the mend."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task

from ...shared.tables import GOOD, REVIEWS, told, write


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ("train.tsv", "no rows")),
        (b"sentence\tlabel\n", ("train.tsv", "no rows")),
        (b"\n\n", ("train.tsv", "no rows")),
        (
            b"review\tlabel\ngood\t1\n",
            ("train.tsv, line 2", "no column 'sentence'", "found 'review' or 'label'"),
        ),
        (b"sentence\tgrade\ngood\t1\n", ("train.tsv, line 2", "no column 'label'", "'grade'")),
        (b"review\tgrade\ngood\t1\n", ("train.tsv, line 1", "no header", "'sentence'", "'review', 'grade'")),
        (b"sentence\tlabel\ngood\t1\nbad\t2\n", ("train.tsv, line 3", "label '2'", "'0' or '1'")),
        (b"sentence\tlabel\ngood\t1\nbad\t\n", ("train.tsv, line 3", "no label", "fill it in")),
        (b"sentence\tlabel\ngood\t1\n \t0\n", ("train.tsv, line 3", "no text", "delete")),
        (b"sentence\tlabel\ngood\t1\n\t0\n", ("train.tsv, line 3", "no text")),
        (b"sentence\tlabel\ngood\t1\tx\n", ("train.tsv, line 2", "3 columns where the file has 2", "tabs")),
        (b"sentence\tlabel\ngood\n", ("train.tsv, line 2", "no column 'label'")),
        (b"sentence\tlabel\ngood\t1\nm\xe9l\xc3\xa9e\t0\n", ("train.tsv, line 3", "not UTF-8", "save", "encoding")),
        (b"sentence\tlabel\ngo\0od\t1\n", ("train.tsv, line 2", "null byte", "take it out")),
    ],
)
def test_faults_of_a_table(tmp_path: Path, content: bytes, parts: tuple[str, ...]) -> None:
    (tmp_path / "train.tsv").write_bytes(content)
    write(tmp_path / "dev.tsv", GOOD)
    with pytest.raises(SoftPromptError) as error:
        Task.load("sst2", data=tmp_path).splits()
    told(error, *parts)


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("train.csv", '0,"open\n1,good\n', ("train.csv, line", "not proper csv", "double quotes")),
        ("train.csv", "0,bad, very bad\n1,good\n", ("train.csv, line 1", "no header")),
        ("train.csv", "0,bad\n1,good, very good\n", ("train.csv, line 2", "3 columns where the file has 2")),
        ("train.csv", "2,bad\n", ("train.csv, line 1", "no header")),
        ("train.csv", "0,bad\n7,good\n", ("train.csv, line 2", "label '7' is not one of '0' or '1'")),
        ("train.jsonl", '{"text": "good", "label": 1}\nnot json\n', ("train.jsonl, line 2", "not JSON")),
        ("train.jsonl", '["good", 1]\n', ("train.jsonl, line 1", "not a JSON object")),
        ("train.jsonl", '{"text": ["good"], "label": 1}\n', ("train.jsonl, line 1", "is a list, not one text")),
        ("train.jsonl", '{"text": null, "label": 1}\n', ("train.jsonl, line 1", "no text in 'text'")),
        ("train.jsonl", '{"label": 1}\n', ("train.jsonl, line 1", "no column 'text'")),
        ("train.jsonl", '{"text": "good", "label": null}\n', ("train.jsonl, line 1", "no label")),
        ("train.parquet", "not parquet", ("train.parquet", "not a parquet file")),
    ],
)
def test_faults_of_other_files(tmp_path: Path, name: str, content: str, parts: tuple[str, ...]) -> None:
    write(tmp_path / name, content)
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.with_data(tmp_path).splits()
    told(error, *parts)


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("rows.xls", "save the sheet as .xlsx or .csv"),
        ("rows.ods", "save the sheet as .xlsx or .csv"),
        ("rows.sav", "write it as csv or parquet"),
        ("rows.csv.zip", "unpack it, or pack the file with gzip"),
        ("rows.csv.zst", "unpack it"),
        ("rows.pkl", "write it as parquet, or hand the table over in Python"),
        ("rows.parquet.gz", "use .tsv, .csv"),
        ("rows", "use .tsv, .csv, .jsonl, .parquet, .txt, .ndjson, .json, .arrow, .feather, .xlsx"),
    ],
)
def test_a_file_of_another_ending(name: str, mend: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, "x")
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.rows_from(path)
    told(error, name, "are not read", mend)


OBJECTS = [{"text": "good", "label": 1}, {"text": "bad", "label": 0}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.ndjson", "".join(json.dumps(row) + "\n" for row in OBJECTS)),
        ("rows.json", "".join(json.dumps(row) + "\n" for row in OBJECTS)),
        ("rows.json", json.dumps(OBJECTS, indent=1)),
        ("rows.json", json.dumps({"data": OBJECTS})),
        ("index.csv", ",text,label\n0,good,1\n1,bad,0\n"),
        ("trailing.csv", "text,label,\ngood,1,\nbad,0,\n"),
        ("trailing rows.csv", "text;label\ngood;1;\nbad;0;;\n"),
        ("trailing.tsv", "text\tlabel\ngood\t1\t\nbad\t0\n"),
        ("blank names.csv", ",,text,label\na,b,good,1\nc,d,bad,0\n"),
        ("twice.csv", "id,id,text,label\na,b,good,1\nc,d,bad,0\n"),
    ],
)
def test_warts_of_files_that_are_read(name: str, content: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, content)
    assert [(row.fields["text"], row.label) for row in REVIEWS.labelled_rows(path)] == [("good", 1), ("bad", 0)]


@pytest.mark.parametrize(
    ("content", "mend"),
    [
        ({"text": {"0": "good"}, "label": {"0": 1}}, "to_json(orient='records')"),
        ({"text": ["good"], "label": [1]}, "to_json(orient='records')"),
        ({"columns": ["text", "label"], "data": [["good", 1]]}, "give one object a row"),
        ([["good", 1]], "give one object a row"),
        ("good", "write a JSON list of objects"),
    ],
)
def test_json_of_another_shape(content: object, mend: str, tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.rows_from(write(tmp_path / "rows.json", json.dumps(content)))
    told(error, "rows.json", mend)


def test_no_column_takes_the_place_of_another(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", ",,text,x,x\na,b,good,c,d\n")
    ((values, _),) = REVIEWS.each_row_from(path)
    assert values == {"": "a", ".1": "b", "text": "good", "x": "c", "x.1": "d"}


def test_records_are_let_go_as_rows_are_made(tmp_path: Path) -> None:
    """What stands in columns that a task does not read was in memory for all rows at once."""
    path, wide = tmp_path / "rows.csv", "x" * 4_000
    path.write_text("text,label,wide\n" + "".join(f"text {n},{n % 2},{wide}\n" for n in range(4_000)))
    calls: list[Callable[[], object]] = [
        lambda: REVIEWS.with_data(path).splits(),
        lambda: REVIEWS.rows_from(path),
        lambda: REVIEWS.labelled_rows(path),
        lambda: sum(1 for _ in REVIEWS.each_row_from(path)),
    ]
    for call in calls:
        tracemalloc.start()
        call()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 6_000_000, peak  # of 16 million


def test_endings_in_capitals_and_packed_files_of_a_folder(tmp_path: Path) -> None:
    content = "text,label\n" + "".join(f"text {number},{number % 2}\n" for number in range(20))
    write(tmp_path / "a" / "TRAIN.CSV", content)
    assert len(REVIEWS.rows_from(tmp_path / "a" / "TRAIN.CSV")) == 20
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "train.csv.gz").write_bytes(gzip.compress(content.encode()))
    assert len(REVIEWS.with_data(tmp_path / "b").splits().train) == 16
    write(tmp_path / "b" / "train.tsv", content.replace(",", "\t"))  # a file beside it of the endings that always were
    assert len(REVIEWS.with_data(tmp_path / "b").splits().train) == 16
