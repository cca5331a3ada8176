"""Lines without a header whose columns stand apart by a divider."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task
from softprompt.tasks.data.divided import divided_records

from ...shared.tables import told, write

TASK = Task.load("e2e")


def test_columns_in_their_order_and_blank_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "name : A | food : B||A has B .\r\n\nname : C\n")
    found = list(divided_records(path, ("meaning", "label"), "||", None, []))
    assert [record.values for record in found if not record.blank] == [
        {"meaning": "name : A | food : B", "label": "A has B ."},
        {"meaning": "name : C"},
    ]
    assert [(record.line, record.blank) for record in found] == [(1, False), (2, True), (3, False)]


def test_a_divider_too_many_is_refused_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "src1_test.txt", "name : A||A .\nname : B||B .||C\n")
    with pytest.raises(SoftPromptError) as error:
        TASK.labelled_rows(path)
    told(error, "src1_test.txt, line 2", "'||' stands 2 times")


def test_a_line_without_wording_is_refused_to_score_and_read_to_predict(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "name : A||A .\nname : B\n")
    with pytest.raises(SoftPromptError) as error:
        TASK.labelled_rows(path)
    told(error, "a.txt, line 2", "label")
    assert [row.fields["meaning"] for row in TASK.rows_from(path)] == ["name : A", "name : B"]


def test_packed(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"name : A||A .\n"))
    assert TASK.labelled_rows(tmp_path / "a.txt.gz")[0].answers == ("A .",)
