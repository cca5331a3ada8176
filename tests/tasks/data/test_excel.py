"""Excel's sheets: what stands in the first one, and one line for what is none."""

from __future__ import annotations

import datetime
import sys
import zipfile
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task

from ...shared.tables import REVIEWS, told, write


def test_without_openpyxl_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.rows_from(write(tmp_path / "rows.xlsx", "x"))
    told(error, "rows.xlsx", "openpyxl", "pip install 'softprompt[excel]'")


def test_the_first_sheet_is_read_and_others_are_told(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Mails"
    for row in (
        [],
        ["text", "label", "day"],
        ["a", True, datetime.datetime(2024, 1, 2)],
        [None, None],
        ["b", "FALSE", None],
        [3.5, 0],
    ):
        sheet.append(row)
    for number in range(30):
        sheet.append([f"text {number}", number % 2])
    book.create_sheet("Notes")
    book.save(tmp_path / "rows.xlsx")
    task = Task(template="{text} {day} {mask}", labels={True: "x", False: "y"})
    rows = task.rows_from(tmp_path / "rows.xlsx")
    assert [tuple(row.fields.values()) for row in rows[:4]] == [
        ("a", "2024-01-02"),
        ("b", ""),
        ("3.5", ""),
        ("text 0", ""),
    ]
    splits = task.with_data(tmp_path / "rows.xlsx").splits()
    assert splits.notes == ("rows.xlsx: the sheet 'Mails' is read, and not 'Notes'",)
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 33


@pytest.mark.parametrize("content", [b"", b"not a workbook", b"PK\x03\x04"])
def test_what_is_no_workbook(content: bytes, tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    (tmp_path / "rows.xlsx").write_bytes(content)
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.rows_from(tmp_path / "rows.xlsx")
    told(error, "rows.xlsx: not a workbook", "save it again as .xlsx")


def test_a_workbook_without_sheets_and_one_that_unpacks_to_too_much(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    for name, content in (("empty.xlsx", "x"), ("large.xlsx", "x" * 20_000_000)):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("xl/workbook.xml", content)
    with pytest.raises(SoftPromptError, match="not a workbook that can be read"):
        REVIEWS.rows_from(tmp_path / "empty.xlsx")
    with pytest.raises(SoftPromptError, match="would unpack to 20,000,000 bytes"):
        REVIEWS.rows_from(tmp_path / "large.xlsx")
