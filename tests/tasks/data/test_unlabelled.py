"""Rows to predict, record by record: each line has its record, and a blank one no row."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError

from ...shared.tables import REVIEWS

FILES = {
    "a.csv": 'id,text\n1,good\n\n2,"bad\nworse"\n3,\n\n',
    "a.tsv": "id\ttext\n1\tgood\n\n2\tbad worse\n3\t\n\n",
    "a.jsonl": '{"id": 1, "text": "good"}\n\n{"id": 2, "text": "bad"}\n{"id": 3, "text": null}\n\n',
    "a.txt": "good\n\nbad\n \n\n",
}


@pytest.mark.parametrize("name", FILES)
def test_blank_lines_and_rows_without_text_are_records_without_rows(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(FILES[name])
    found = list(REVIEWS.each_row_from(path))
    assert [len(rows) for _, rows in found] == [1, 0, 1, 0, 0]
    assert [bool(values) for values, _ in found] == [True, name == "a.txt", True, True, name == "a.txt"]
    if name != "a.txt":
        assert [str(found[place][0]["id"]) for place in (0, 2, 3)] == ["1", "2", "3"]


def test_a_fault_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "good"}\n\n{"sentence": "bad"}\n')
    found = REVIEWS.each_row_from(tmp_path / "a.jsonl")
    with pytest.raises(SoftPromptError, match="line 3: no column"):
        list(found)
    (tmp_path / "b.csv").write_text("text\n\n\n")
    with pytest.raises(SoftPromptError, match="the file has no rows"):
        list(REVIEWS.each_row_from(tmp_path / "b.csv"))
