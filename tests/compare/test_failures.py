"""What failed is counted where its method's scores stand, and never helps it."""

from __future__ import annotations

import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from softprompt.compare.rendering import FORMATS
from softprompt.compare.table import Table
from softprompt.compare.tabulate import tabulate
from softprompt.errors import SoftPromptError
from softprompt.files.places import LEDGER

from ..shared.run_folders import cell, diverged, ledger

GOOD, BAD = [1, 1, 1, 1], [1, 0, 0, 0]
FAULT = {"state": "failed", "line": "the disk is full"}


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Two tasks; capt is the best of both where it does not diverge, lora failed once, and lpt never gave a score."""
    for task in ("words", "others"):
        for seed in (13, 21):
            cell(tmp_path / "cells" / f"{task}-capt-{seed}", "capt", seed, GOOD, task=task)
            cell(tmp_path / "cells" / f"{task}-ia3-{seed}", "ia3", seed, BAD, task=task)
            cell(tmp_path / "cells" / f"{task}-spt-{seed}", "spt", seed, [*BAD[:3], 1], task=task)
        rank = {"method_options": {"rank": 4}}
        cell(tmp_path / "cells" / f"{task}-lora-13", "lora", 13, GOOD, task=task, identity=rank)
    plain = cell(tmp_path / "cells" / "words-plain-13", "lora", 13, BAD, identity={"method_options": {"rank": 2}})
    diverged(cell(tmp_path / "cells" / "words-capt-42", "capt", 42, GOOD))
    told: dict[str, dict[str, Any]] = {
        "words-lora-13": {"method": "lora,rank=4"},
        "words-lora-21": {"method": "lora,rank=4", "seed": 21, **FAULT},
        plain.name: {"method": "lora,rank=2"},
        "words-lpt-13": {"method": "lpt", **FAULT},
        "words-lpt-21": {"method": "lpt", "seed": 21, **FAULT},
        "nowhere-lpt-13": {"method": "lpt", "task": "nowhere", **FAULT},
        "words-spt-21": {"method": "spt", "seed": 21, **FAULT},
    }
    ledger(tmp_path, **told)
    return tabulate([tmp_path])


def test_each_failure_stands_with_its_method_and_task(table: Table) -> None:
    (sheet,) = table.sheets
    found = {key: [(one.seed, one.line) for one in own] for key, own in sheet.failures.items()}
    assert found == {
        ("capt", "words"): [(42, "diverged at step 3: the loss was nan")],
        ("lora (rank=4)", "words"): [(21, "failed: the disk is full")],
        ("lpt", "words"): [(13, "failed: the disk is full"), (21, "failed: the disk is full")],
    }
    assert sheet.methods[-1] == "lpt"
    (left,) = table.left_out
    assert (left.folder.name, left.reason) == ("nowhere-lpt-13", "failed: the disk is full")


def test_a_mean_that_lacks_some_is_of_the_others_and_wins_nothing(table: Table) -> None:
    (sheet,) = table.sheets
    assert sheet.results["capt", "words"].mean == 1.0
    assert sheet.standing("others") == (("capt",), ("spt",))
    assert sheet.standing("words") == (("spt",), ("ia3",))
    assert sheet.ranks is not None
    assert sheet.ranks.methods == ("spt", "ia3")
    assert "tiny: without a rank, for a run of theirs failed: capt, lora (rank=4), lpt" in table.notes
    assert "tiny: without a rank, for a task is missing: lora (rank=2)" in table.notes


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_has_the_count_and_the_line(form: str, table: Table) -> None:
    text = FORMATS[form](table)
    assert "the disk is full" in text
    if form not in ("csv", "json"):
        assert "1.000 ±.000 (2/3, 1 failed)" in text.replace("$\\pm$", "±")
        assert "2 failed" in text


def test_json_and_csv_count_them_and_list_them(table: Table) -> None:
    document = json.loads(FORMATS["json"](table))["results"]
    found = {(one["method"], one["task"]): one for one in document}
    assert {key: one["failed"] for key, one in found.items() if one["failed"]} == {
        ("capt", "words"): 1,
        ("lora (rank=4)", "words"): 1,
        ("lpt", "words"): 2,
    }
    only = found["lpt", "words"]
    assert (only["mean"], only["seeds"], only["runs"], only["seconds"]) == (None, [], [], None)
    assert [one["seed"] for one in only["failures"]] == [13, 21]
    rows = {(one["method"], one["task"]): one for one in csv.DictReader(StringIO(FORMATS["csv"](table)))}
    assert rows["lpt", "words"]["failures"] == "13: failed: the disk is full; 21: failed: the disk is full"
    assert (rows["lpt", "words"]["mean"], rows["lpt", "words"]["failed"]) == ("", "2")


def test_what_was_done_again_elsewhere_did_not_fail(tmp_path: Path) -> None:
    diverged(cell(tmp_path / "a", "capt", 13))
    cell(tmp_path / "b", "capt", 13)
    found = tabulate([tmp_path])
    assert found.sheets[0].failures == {}
    (left,) = found.left_out
    assert left.reason == f"diverged at step 3: the loss was nan; done again in {tmp_path / 'b'}"


def test_a_ledger_that_cannot_be_read_is_told_and_the_table_stands(tmp_path: Path) -> None:
    cell(tmp_path / "cells" / "a")
    (tmp_path / LEDGER).write_text('{"cells": {"a": {"state": "lost"}}}')
    found = tabulate([tmp_path])
    assert found.runs == 1
    assert [one.folder.name for one in found.left_out] == [LEDGER]


def test_where_everything_failed_the_line_is_told(tmp_path: Path) -> None:
    ledger(tmp_path, only={"method": "capt", **FAULT})
    with pytest.raises(SoftPromptError, match=r"cells/only: failed: the disk is full$"):
        tabulate([tmp_path])
