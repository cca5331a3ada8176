"""`predict --out`: every column and row of what is asked, with its answer beside it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from softprompt.cli import answers

from ..shared.commands import done, found, refusal

TABLE = 'id,sentence,note\n1,w20 w41,"a, b"\n\n2,"w30\nw50",\n3,,x\n'


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_columns_rows_and_blank_lines_stay(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text(TABLE)
    told = done("predict", trained, "--file", tmp_path / "q.csv", "--out", tmp_path / "a.csv")
    assert f"answers: {tmp_path / 'a.csv'} (4 rows, 2 of them without text and answer)" in told.out
    assert "a.csv: 4/4 rows" in told.err
    rows = read(tmp_path / "a.csv")
    assert list(rows[0]) == ["id", "sentence", "note", "label", "word", "probability"]
    assert [row["id"] for row in rows] == ["1", "", "2", "3"]
    assert [row["label"] != "" for row in rows] == [True, False, True, False]
    alone = json.loads(done("predict", trained, "w20 w41", "--json").out)[0]
    assert (rows[0]["label"], float(rows[0]["probability"])) == (
        alone["label"], pytest.approx(alone["probability"], abs=1e-5)
    )  # fmt: skip
    assert rows[0]["word"] == {"0": "w10", "1": "w11"}[rows[0]["label"]]


@pytest.mark.parametrize("ending", ["jsonl", "tsv", "parquet"])
def test_in_any_format(trained: Path, tmp_path: Path, ending: str) -> None:
    (tmp_path / "q.txt").write_text("w20 w41\n\nw30\n")
    out = tmp_path / f"a.{ending}"
    told = found("predict", trained, "--file", tmp_path / "q.txt", "--out", out)
    assert told == {"out": str(out), "rows": 3, "rows_without_text": 1}
    if ending == "jsonl":
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        assert [row["label"] is None for row in rows] == [False, True, False]
        assert list(rows[1]) == ["sentence", "label", "word", "probability"]


@pytest.mark.parametrize("out", [[], ["--out", "a.csv"]])
def test_how_a_file_was_read_is_told_once(trained: Path, tmp_path: Path, out: list[str]) -> None:
    path = tmp_path / "q.csv"
    path.write_bytes("id;sentence\n1;w20 café\n2;w30\n".encode("cp1252"))
    words = ["predict", trained, "--file", path, *([] if not out else ["--out", tmp_path / out[1]])]
    told = done(*words).err
    assert told.count("q.csv: read as Windows-1252, as it is not UTF-8 (line 2: 'café')") == 1
    assert told.count("q.csv: cells are told apart by semicolons") == 1
    assert "Windows-1252" not in done(*words, "--encoding", "cp1252").err
    assert "Windows-1252" not in done(*words, "--quiet").err
    if out:
        assert [row["sentence"] for row in read(tmp_path / "a.csv")] == ["w20 café", "w30"]


def test_parts_are_answered_as_the_whole(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"w{20 + n % 40} w{30 + n % 7} " * (1 + n % 3) for n in range(50)]
    (tmp_path / "q.txt").write_text("\n".join(lines) + "\n")
    common = ["predict", trained, "--file", tmp_path / "q.txt", "--batch-size", 4, "--out"]
    done(*common, tmp_path / "a.csv")
    monkeypatch.setattr(answers, "_BATCHES", 2)
    done(*common, tmp_path / "b.csv")
    one, other = read(tmp_path / "a.csv"), read(tmp_path / "b.csv")
    assert [row["label"] for row in one] == [row["label"] for row in other]
    assert [row["sentence"] for row in one] == [row["sentence"] for row in other] == lines


def test_a_column_of_that_name_stays(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("sentence,label\nw20,gold\n")
    done("predict", trained, "--file", tmp_path / "q.csv", "--out", tmp_path / "a.csv")
    row = read(tmp_path / "a.csv")[0]
    assert row["label"] == "gold"
    assert row["predicted_label"] in ("0", "1")


def test_a_fault_in_the_last_row_writes_nothing(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"sentence": "w20"}\n{"text": "w20"}\n')
    (tmp_path / "a.csv").write_text("before")
    told = refusal("predict", trained, "--file", tmp_path / "q.jsonl", "--out", tmp_path / "a.csv")
    assert "line 2: no column" in told
    assert (tmp_path / "a.csv").read_text() == "before"
    told = refusal("predict", trained, "--file", tmp_path / "q.jsonl", "--out", tmp_path / "q.jsonl")
    assert "is the file that is asked about" in told
    (tmp_path / "q.txt").write_text("\n\n")
    assert "no row has a text" in refusal("predict", trained, "--file", tmp_path / "q.txt", "--out", tmp_path / "a.csv")


def test_texts_and_fields_are_written_too(trained: Path, tmp_path: Path) -> None:
    done("predict", trained, "w20", "w30", "--out", tmp_path / "a.csv")
    assert [row["sentence"] for row in read(tmp_path / "a.csv")] == ["w20", "w30"]
    done("predict", trained, "--field", "sentence=w20", "--out", tmp_path / "b.csv")
    done("predict", trained, "w20", "--out", tmp_path / "c.csv")
    assert read(tmp_path / "b.csv") == read(tmp_path / "c.csv")


def test_other_endings_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    told: Any = refusal("predict", tmp_path / "no-run", "w20", "--out", tmp_path / "a.xlsx")
    assert "choose one of these endings" in told
