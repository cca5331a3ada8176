"""What stands between cells is read off the header, and a file with commas stays one whatever its texts hold."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task

from ...shared.tables import REVIEWS, told, write

ROWS = [("good; very", "1"), ("bad, too", "0"), ("so | so\tlala", "1"), ('a "quoted"\nline', "0")]
NAMES = {",": None, ";": "semicolons", "\t": "tabs", "|": "bars"}


def separated(rows: list[tuple[str, ...]], delimiter: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


def read(path: Path, task: Task = REVIEWS) -> tuple[list[tuple[str, object]], tuple[str, ...]]:
    notes: list[str] = []
    rows = task.labelled_rows(path, notes=notes)
    return [(row.fields["text"], row.label) for row in rows], tuple(notes)


@pytest.mark.parametrize("delimiter", NAMES)
@pytest.mark.parametrize("header", ["text,label", "id,label,text", '"text","label"', None])
def test_cells_are_told_apart_by_what_the_header_shows(delimiter: str, header: str | None, tmp_path: Path) -> None:
    names = ["label", "text"] if header is None else header.replace('"', "").split(",")
    values = [{"text": text, "label": label, "id": str(place)} for place, (text, label) in enumerate(ROWS)]
    body = separated([tuple(row[name] for name in names) for row in values], delimiter)
    first = "" if header is None else header.replace(",", delimiter) + "\r\n"
    rows, notes = read(write(tmp_path / "rows.csv", first + body))
    assert rows == [(text, int(label)) for text, label in ROWS]
    named = NAMES[delimiter]
    assert notes == (() if named is None else (f"rows.csv: cells are told apart by {named}, as its header shows",))


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("text\ngood; very\nbad; too\n", ["good; very", "bad; too"]),
        ("text,label\ngood;1,1\nbad;0,0\n", ["good;1", "bad;0"]),
        ("text;note,label,x\n", None),
    ],
)
def test_a_file_with_commas_stays_one(content: str, texts: list[str] | None, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", content)
    if texts is None:
        with pytest.raises(SoftPromptError):
            REVIEWS.rows_from(path)
        return
    assert [row.fields["text"] for row in REVIEWS.rows_from(path)] == texts


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "sep=^"])
def test_a_first_line_that_says_it(first: str, tmp_path: Path) -> None:
    mark = first.strip('"')[-1]
    rows, notes = read(write(tmp_path / "rows.csv", f"{first}\r\n" + separated([("text", "label"), *ROWS], mark)))
    assert rows == [(text, int(label)) for text, label in ROWS]
    assert notes[0].endswith("as its first line says")
    path = write(tmp_path / "bad.csv", f"{first}\ntext{mark}label\ngood{mark}1\nbad{mark}7\n")
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.labelled_rows(path)
    told(error, "bad.csv, line 4", "label '7'")


def test_decimal_commas_are_no_matter(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", "text;label;price\ngood, very;1;1,50\nbad;0;2,75\n")
    assert read(path)[0] == [("good, very", 1), ("bad", 0)]


@settings(max_examples=40, deadline=None, database=None)
@given(
    delimiter=st.sampled_from(list(NAMES)),
    texts=st.lists(st.text(alphabet='ab ,;|\t"\n', min_size=1, max_size=8).filter(str.strip), min_size=1, max_size=4),
)
def test_what_is_written_is_read(delimiter: str, texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    content = separated([("text", "label"), *((text, "1") for text in texts)], delimiter)
    path = write(tmp_path_factory.mktemp("csv") / "rows.csv", content)
    assert [text for text, _ in read(path)[0]] == [text.strip() for text in texts]
