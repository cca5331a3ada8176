"""Tables whose columns nobody has named: whether they name them, and what they hold in every format."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks.data.held import Held
from softprompt.tasks.guess.table import is_header, tables

from ...shared.tables import write


@pytest.mark.parametrize(
    ("first", "rows", "header"),
    [
        (["text", "label"], [["a b", "0"]], True),
        (["foo", "bar"], [["a b", "0"], ["c d", "1"]], True),
        (["Class Index", "Title", "Description"], [["3", "a", "b"]], True),
        (["3", "Wall St.", "Reuters - Short-sellers are seeing green again this week"], [["4", "a", "b"]], False),
        (["ham", "Go until"], [["spam", "Free entry"], ["ham", "Ok lar"]], False),
        (["text", "label"], [["a b", "0"], ["text", "1"]], True),  # one row reads as its column is called
        (["spam", "Free entry"], [["ham", "Ok lar"], ["spam", "Win a car"]], False),  # a name that tables have, too
        (["text", "label"], [["a b", "0"], ["text", "label"], ["c d", "1"]], True),
        (["0", "1467810369", "_TheSpecialOne_"], [["4", "1467810370", "ali"]], False),
        (["gj04", "1", "", "Our friends won't buy"], [["gj04", "0", "*", "One more"]], False),
        (["2019", "2020"], [["north", "south"]], True),
        (["only", "names"], [], True),
        (["", "a"], [["0", "b"], ["1", "c"]], True),
    ],
)
def test_whether_the_first_line_names_the_columns(first: list[str], rows: list[list[str]], header: bool) -> None:
    assert is_header(first, rows) is header


CSV = 'text,label\n"a, b",x\n\n"c\nd",y\n'


def test_every_format_and_folder_holds_the_same(tmp_path: Path) -> None:
    import pandas as pd

    rows = [{"text": "a, b", "label": "x"}, {"text": "c\nd", "label": "y"}]
    frame = pd.DataFrame(rows)
    write(tmp_path / "a.csv", CSV)
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_excel(tmp_path / "a.xlsx", index=False)
    frame.to_csv(tmp_path / "a.tsv", sep="\t", index=False)
    write(tmp_path / "folder" / "train.csv", CSV)
    write(tmp_path / "folder" / "test.csv", "text\nz\n")
    places = [*(tmp_path / f"a.{ending}" for ending in ["csv", "jsonl", "parquet", "xlsx", "tsv"]), tmp_path / "folder"]
    for place in (*places, Held(rows, "data"), Held(frame, "data"), Held({"train": rows, "test": rows}, "data")):
        parts = tables(place, 13, None)
        (train,) = parts["train"]
        assert [dict(values) for values in train.rows()] == rows, place
        assert [dict(values) for values in train.rows()] == rows, "read twice"
        assert {name: one.filled for name, one in train.profiles().items()} == {"text": 2, "label": 2}


def test_columns_without_names_are_numbered(tmp_path: Path) -> None:
    path = write(tmp_path / "train.csv", '"3","a title","b"\n"4","another","c"\n"3","third","d"\n')
    (train,) = tables(path, 13, None)["train"]
    assert train.headerless
    assert next(train.rows()) == {"column1": "3", "column2": "a title", "column3": "b"}


def test_keys_that_some_records_leave_out_count_as_empty(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"a": 1}\n{"b": 2}\n{"a": 3}\n')
    (train,) = tables(path, 13, None)["train"]
    assert {name: (one.rows, one.filled) for name, one in train.profiles().items()} == {"a": (3, 2), "b": (3, 1)}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "no rows"),
        ("a.csv", "text,label\n", "no rows under its header"),
        ("a.pdf", "x", "files that end in '.pdf' are not read"),
        ("a.csv", 'a,b\n"open,1\n', "not proper csv"),
        ("folder/test.csv", "text,label\na,b\n", "no rows to train on"),
        ("folder/other.csv", "text,label\na,b\n", "nothing of task"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = write(tmp_path / name, content)
    place = path.parent if "/" in name else path
    with pytest.raises(SoftPromptError, match=message):
        [table.profiles() for table in tables(place, 13, None)["train"]]


def test_a_header_that_stands_again_is_no_row(tmp_path: Path) -> None:
    rows = [f"parcel {number} is late,{('post', 'tech')[number % 2]}" for number in range(20)]
    path = tmp_path / "joined.csv"
    path.write_text("\n".join(["text,label", *rows[:10], "text,label", *rows[10:]]) + "\n")
    (train,) = tables(path, 1, None)["train"]
    assert len(list(train.rows())) == 20


def test_a_header_of_semicolons_may_hold_a_comma(tmp_path: Path) -> None:
    path = tmp_path / "semicolons.csv"
    path.write_text("label;message, in full\n" + "".join(f"{('a', 'b')[n % 2]};text, {n}\n" for n in range(20)))
    (train,) = tables(path, 1, None)["train"]
    assert list(next(iter(train.rows()))) == ["label", "message, in full"]
