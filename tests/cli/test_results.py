"""`softprompt results`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from softprompt.cli.results import Format
from softprompt.compare.rendering import FORMATS

from ..shared.commands import done, narrow, refusal
from ..shared.run_folders import cell, few


def test_a_table_is_printed_with_what_was_left_out(tmp_path: Path) -> None:
    (cell(few(tmp_path) / "begun") / "metrics.json").unlink()
    told = done("results", tmp_path, "--baseline", "capt")
    assert narrow("\n".join(line for line in told.out.splitlines() if str(tmp_path) not in line))
    assert "lora" in told.out
    assert "left out:" in told.out
    assert told.err == ""


@pytest.mark.parametrize("form", [one for one in FORMATS if one != "text"])
def test_other_forms_are_clean_and_the_rest_is_told_beside(form: str, tmp_path: Path) -> None:
    (cell(few(tmp_path / "runs") / "begun") / "metrics.json").unlink()
    told = done("results", tmp_path / "runs", "--format", form)
    assert "\nleft out: " in told.err
    written = done("results", tmp_path / "runs", "--format", form, "--out", tmp_path / "table")
    assert (tmp_path / "table").read_text(encoding="utf-8") == told.out
    assert written.out == f"table: {tmp_path / 'table'}\n"
    if form == "json":
        assert len(json.loads(told.out)["left_out"]) == 1


def test_the_forms_are_those_of_the_library() -> None:
    assert [one.value for one in Format] == list(FORMATS)


def test_faults_are_told_in_one_line(tmp_path: Path) -> None:
    assert "no run there" in refusal("results", tmp_path)
    few(tmp_path)
    assert "choose from capt, lora" in refusal("results", tmp_path, "--baseline", "x")
    assert "no bleu among its metrics" in refusal("results", tmp_path, "--metric", "bleu")
    assert "choose a file" in refusal("results", tmp_path, "--out", tmp_path)
