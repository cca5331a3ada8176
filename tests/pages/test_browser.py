"""Pages as a browser shows them: marks in each picture, nothing cut, no request, and no fault that axe finds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from softprompt.compare.formats.page import as_page
from softprompt.explain.comparison import comparison_page
from softprompt.explain.layers import layers_page
from softprompt.explain.patterns import LayerPatterns, TaskPattern, groups_of
from softprompt.explain.patterns_page import patterns_page
from softprompt.explain.report.page import report

from ..shared.browsers import BARE, CUT, each_way, faults_of, needs_browser, opened
from ..shared.compared import compared
from ..shared.run_folders import cell, hits
from ..shared.runs import finished

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = needs_browser
HISTORY = [{"step": step, "train_loss": 1 / (step + 1), "loss": 0.5, "accuracy": 0.5 + step / 20} for step in range(5)]
# Tables of rows that are searched are read downwards on a phone.
SIDEWAYS = """[...document.querySelectorAll("table.searched")].filter(one =>
  one.scrollWidth > one.parentElement.clientWidth).length"""
LONG = "a_name_without_a_space_that_is_longer_than_a_phone_is_wide"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind, with long names."""
    folder = tmp_path_factory.mktemp("pages")
    told = {"history": HISTORY, "course": {"kept_layers": [0, 2], "gates": [0.6, 0.4, 0.7]}}
    task = {"task_definition": {"name": "words", "template": "{text} {mask}", "labels": {"0": "bad", "1": "good"}}}
    one, other = (cell(folder / name, name, 13, hits(name, 13), identity=task, **told) for name in ("capt", LONG))
    arm = {"arm": LONG, "mean": 0.5, "deviation": 0.1, "share": [1, 0], "trained_parameters": 9, "tunable": None}
    arm |= {"stored_parameters": 9, "seconds": 1.0, "difference": None}
    arm["runs"] = [{"kept_layers": [0], "seed": seed, "value": 0.4 + seed / 10} for seed in (1, 2)]
    layers: Any = {"arms": [arm], "metric": "accuracy", "reference": LONG, "layers": 2, "seeds": [1, 2], "rows": 8}
    layers |= {"gates": {LONG: {"1": [[0.5, 0.5]] * 60}}, "versions": {"torch": "2"}, "test": "t", "method": "spt"}
    layers |= {"task": "sst2", "backbone": "tiny"}
    pattern = TaskPattern(LONG, "spt", "tiny", 2, 8.0, (0.5,) * 24, (0.5,) * 24)
    (folder / "results.html").write_text(as_page(compared()), encoding="utf-8")
    runs = [finished(method=name, history=HISTORY) for name in ("capt", LONG)]
    return {
        "report": report(one, folder / "report.html", against=other),
        "comparison": comparison_page(runs, folder / "comparison.html", "Two runs"),
        "select": layers_page(layers, folder / "select.html", "Layers"),
        "patterns": patterns_page(LayerPatterns(24, groups_of(24), (pattern,), 0), folder / "patterns.html", "Map"),
        "results": folder / "results.html",
    }


@pytest.mark.parametrize("name", ["report", "comparison", "select", "patterns", "results"])
def test_a_page_fits_wide_and_narrow_in_light_and_dark(name: str, browser: Browser, pages: dict[str, Path]) -> None:
    page, faults = opened(browser, f"file://{pages[name]}", 1280, "light")
    assert faults == []
    grounds = set()
    for wide in each_way(page):
        assert page.evaluate("document.documentElement.scrollWidth") <= wide
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert wide == 1280 or page.evaluate(SIDEWAYS) == 0
        assert page.evaluate(BARE) == 0
        assert page.evaluate(CUT) == []
    page.close()
    assert len(grounds) == 2


@pytest.mark.parametrize("name", ["report", "results"])
def test_axe_finds_no_fault(name: str, browser: Browser, pages: dict[str, Path]) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 900}, color_scheme="dark", bypass_csp=True)
    page = context.new_page()
    page.goto(f"file://{pages[name]}")
    assert faults_of(page) == []
    context.close()


def test_tables_are_sorted_and_searched_and_pictures_saved(browser: Browser, pages: dict[str, Path]) -> None:
    page, _ = opened(browser, f"file://{pages['report']}", 1280, "light")
    table = page.locator("table.searched").first
    rows = table.locator("tbody tr:visible")
    before = rows.count()
    assert before > 2
    page.locator("input[type=search]").first.fill("no such word")
    assert rows.count() == 0
    page.locator("input[type=search]").first.fill("")
    head = table.locator("th button").first
    head.focus()
    page.keyboard.press("Enter")
    numbers = [int(one) for one in table.locator("tbody td:first-child").all_inner_texts()]
    assert numbers == sorted(numbers, reverse=True)
    for kind, begin in (("SVG", b"<svg"), ("CSV", b'"'), ("PNG", b"\x89PNG")):
        with page.expect_download() as saved:
            page.locator("figure .tools button", has_text=kind).first.click()
        assert Path(saved.value.path()).read_bytes().startswith(begin)
    page.close()


def test_tables_are_read_without_a_script(browser: Browser, pages: dict[str, Path]) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"file://{pages['report']}")
    assert page.locator("table.searched tbody tr").first.is_visible()
    assert page.locator("figure summary").first.is_visible()
    context.close()
