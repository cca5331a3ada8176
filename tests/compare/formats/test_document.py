"""JSON and CSV: every figure of the table, by names that the page documents."""

from __future__ import annotations

import csv
import json
import re
from io import StringIO
from pathlib import Path

import pytest

from softprompt.compare.formats.document import RESULT, as_csv, as_json, document
from softprompt.compare.tabulate import tabulate

from ...shared.compared import compared
from ...shared.run_folders import cell

PAGE = Path(__file__).parents[3] / "docs" / "results.md"


def test_json_holds_every_result() -> None:
    table = compared()
    found = json.loads(as_json(table))
    assert found == document(table)
    assert (found["format"], found["baseline"]) == (1, "capt")
    assert len(found["results"]) == sum(len(sheet.results) for sheet in table.sheets)
    for one in found["results"]:
        sheet = next(sheet for sheet in table.sheets if sheet.backbone == one["backbone"])
        result = sheet.results[one["method"], one["task"]]
        assert set(one) == {*RESULT, "runs", "failures"}
        assert (one["mean"], one["deviation"], one["seconds"]) == (result.mean, result.deviation, result.costs.seconds)
        assert {run["seed"]: run["value"] for run in one["runs"]} == result.scores
        if result.comparison is not None:
            assert (one["p"], one["compared_seeds"]) == (result.comparison.p, result.comparison.seeds)
    assert found["left_out"][0]["reason"].startswith("not finished")


def test_csv_is_the_same_results() -> None:
    table = compared(hostile=True)
    rows = list(csv.DictReader(StringIO(as_csv(table))))
    results = json.loads(as_json(table))["results"]
    assert len(rows) == len(results)
    for row, result in zip(rows, results, strict=True):
        assert tuple(row) == (*RESULT, "failures")
        assert row["method"] == result["method"]
        assert float(row["mean"]) == result["mean"]
        assert row["seeds"] == " ".join(map(str, result["seeds"]))
        assert row["p_holm"] == ("" if result["p_holm"] is None else str(result["p_holm"]))


def test_the_page_documents_each_key() -> None:
    if not PAGE.is_file():
        pytest.skip("the page is written with the page")
    keys = set(re.findall(r"^\| `(\w+)`", PAGE.read_text(encoding="utf-8"), re.M))
    assert {*RESULT, "runs", "failures", *document(compared())} <= keys


def test_no_field_of_csv_is_a_formula(tmp_path: Path) -> None:
    """A spreadsheet would take it for one by its first character; a difference below zero is a number."""
    for place, name in enumerate(("=1+1", "+a", "-a", "@a", "plain")):
        cell(tmp_path / str(place), name, 13, [1] * (place + 1) + [0] * (5 - place), task=name, backbone="=b")
        cell(tmp_path / f"base{place}", "zzz", 13, [1] * 5 + [0], task=name, backbone="=b")
    rows = list(csv.DictReader(StringIO(as_csv(tabulate([tmp_path], baseline="zzz")))))
    assert {row["method"] for row in rows} == {"'=1+1", "'+a", "'-a", "'@a", "plain", "zzz"}
    assert {row["backbone"] for row in rows} == {"'=b"}
    low = next(row["difference"] for row in rows if row["method"] == "'=1+1")
    assert float(low) < 0
