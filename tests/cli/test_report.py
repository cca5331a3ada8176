"""`softprompt report`: a page of what the folder tells, and refusals of one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..shared.commands import done, refusal
from ..shared.run_folders import cell


def test_a_page_is_written_beside_the_run(tmp_path: Path) -> None:
    folder = cell(tmp_path / "run")
    assert done("report", folder, "--no-model").out == f"page: {folder / 'report.html'}\n"
    told = done("report", folder, "--out", tmp_path / "a.html")  # no prompt lies there
    assert "the prompt cannot be loaded" in told.err
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "Labels and answers" in page
    assert "Rows are not told one by one" in page


@pytest.mark.parametrize("asks", [["--data", "rows.csv"], ["--effects"], ["--why", "1"]])
def test_what_asks_the_prompt_is_refused_without_it(asks: list[str], tmp_path: Path) -> None:
    assert f"{asks[0]} asks the prompt" in refusal("report", cell(tmp_path / "run"), "--no-model", *asks)


def test_what_is_no_run_is_a_line(tmp_path: Path) -> None:
    assert "no finished run" in refusal("report", tmp_path)
