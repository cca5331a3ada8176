"""JSON and CSV: every figure of the table, by names that the page documents."""

from __future__ import annotations

import csv
import json
import re
from io import StringIO
from pathlib import Path

import pytest

from softprompt.compare.formats.document import CELL, as_csv, as_json, document

from ...shared.compared import compared

PAGE = Path(__file__).parents[3] / "docs" / "results.md"


def test_json_holds_every_cell() -> None:
    table = compared()
    found = json.loads(as_json(table))
    assert found == document(table)
    assert (found["format"], found["baseline"]) == (1, "capt")
    assert len(found["cells"]) == sum(len(sheet.cells) for sheet in table.sheets)
    for one in found["cells"]:
        sheet = next(sheet for sheet in table.sheets if sheet.backbone == one["backbone"])
        cell = sheet.cells[one["method"], one["task"]]
        assert set(one) == {*CELL, "runs"}
        assert (one["mean"], one["deviation"], one["seconds"]) == (cell.mean, cell.deviation, cell.costs.seconds)
        assert {run["seed"]: run["value"] for run in one["runs"]} == cell.scores
        if cell.comparison is not None:
            assert (one["p"], one["compared_seeds"]) == (cell.comparison.p, cell.comparison.seeds)
    assert found["left_out"][0]["reason"].startswith("not finished")


def test_csv_is_the_same_cells() -> None:
    table = compared(hostile=True)
    rows = list(csv.DictReader(StringIO(as_csv(table))))
    cells = json.loads(as_json(table))["cells"]
    assert len(rows) == len(cells)
    for row, cell in zip(rows, cells, strict=True):
        assert tuple(row) == CELL
        assert row["method"] == cell["method"]
        assert float(row["mean"]) == cell["mean"]
        assert row["seeds"] == " ".join(map(str, cell["seeds"]))
        assert row["p_holm"] == ("" if cell["p_holm"] is None else str(cell["p_holm"]))


def test_the_page_documents_each_key() -> None:
    if not PAGE.is_file():
        pytest.skip("the page is written with the page")
    keys = set(re.findall(r"^\| `(\w+)`", PAGE.read_text(encoding="utf-8"), re.M))
    assert {*CELL, "runs", *document(compared())} <= keys
