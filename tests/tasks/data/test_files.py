"""Bad input: each fault gives one line that names the file, the place and the mend."""

from __future__ import annotations

import gzip
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
        (b"sentence\tlabel\ngood\t1\nm\xe9lange\t0\n", ("train.tsv, line 3", "not UTF-8", "save")),
        ("sentence\tlabel\ngood\t1\n".encode("utf-16-le"), ("train.tsv, line 1", "not UTF-8")),
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


def test_a_file_of_another_ending(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.xls", "x")
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.rows_from(path)
    told(error, "rows.xls", ".csv", ".xlsx")


def test_endings_in_capitals_and_packed_files_of_a_folder(tmp_path: Path) -> None:
    content = "text,label\n" + "".join(f"text {number},{number % 2}\n" for number in range(20))
    write(tmp_path / "a" / "TRAIN.CSV", content)
    assert len(REVIEWS.rows_from(tmp_path / "a" / "TRAIN.CSV")) == 20
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "train.csv.gz").write_bytes(gzip.compress(content.encode()))
    assert len(REVIEWS.with_data(tmp_path / "b").splits().train) == 16
    write(tmp_path / "b" / "train.tsv", content.replace(",", "\t"))  # a file beside it of the endings that always were
    assert len(REVIEWS.with_data(tmp_path / "b").splits().train) == 16
