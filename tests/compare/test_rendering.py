"""`softprompt.results`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import softprompt as sp
from softprompt.compare.rendering import FORMATS

from ..shared.run_folders import few


@pytest.mark.parametrize("how", FORMATS)
def test_every_form_is_written_as_it_is_shown(how: str, tmp_path: Path) -> None:
    found = sp.results(few(tmp_path / "runs"), baseline="capt")
    assert found.write(tmp_path / "table", how).read_text(encoding="utf-8") == found.render(how)
    assert "lora" in found.render(how)


def test_a_page_links_to_the_reports_that_there_are(tmp_path: Path) -> None:
    runs = few(tmp_path / "my runs")
    report = runs / "capt-13" / "report.html"
    report.write_text("a page")
    page = sp.results(runs).write(tmp_path / "tables" / "table.html", "html").read_text(encoding="utf-8")
    assert re.findall(r'<a href="([^"]*)"', page) == ["../my%20runs/capt-13/report.html"]


def test_two_calls_give_the_same_bytes(tmp_path: Path) -> None:
    few(tmp_path / "runs")
    one, other = (sp.results(tmp_path / "runs", baseline="capt").render("json") for _ in range(2))
    assert one == other


def test_folders_may_be_several_and_their_order_is_none(tmp_path: Path) -> None:
    few(tmp_path / "a", ("capt",))
    few(tmp_path / "b", ("lora",))
    one = sp.results(tmp_path / "a", tmp_path / "b").as_dict()
    assert one["results"] == sp.results(tmp_path / "b", tmp_path / "a").as_dict()["results"]


def test_it_says_what_it_is(tmp_path: Path) -> None:
    found = sp.results(few(tmp_path / "runs"))
    assert "Results of 4 runs" in repr(found)
    assert "words: capt" in repr(found)


def test_faults_are_one_line(tmp_path: Path) -> None:
    found = sp.results(few(tmp_path / "runs"))
    with pytest.raises(sp.SoftPromptError, match=r"format 'pdf': choose from text, markdown"):
        found.render("pdf")
    with pytest.raises(sp.SoftPromptError, match="is a folder: choose a file"):
        found.write(tmp_path)
    with pytest.raises(sp.SoftPromptError, match="no folder: name folders"):
        sp.results()
