"""The studio as a browser shows it: it fits, nothing leaves, axe finds no fault, and it works by the keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from softprompt.explain.report.page import report

from ..shared.browsers import BARE, CUT, comes_to, each_way, faults_of, needs_browser, opened
from ..shared.run_folders import cell
from ..shared.studios import HISTORY, going, listening, tickets, trained

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = needs_browser
LONG = "a_name_without_a_space_that_is_longer_than_a_phone_is_wide"
PAGES = (
    "/?group=method",
    "/run?name=going",
    "/train",
    "/train?table=tickets.csv&backbone=tiny",
    "/ask",
    "/run?name=no",
)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A studio of finished, unfinished and broken runs, and its address."""
    folder = trained(tmp_path_factory.mktemp("browsed"))
    cell(folder / LONG, LONG, history=HISTORY, backbone="./gone")
    going(folder / "going", HISTORY, 9)
    (folder / "broken").mkdir()
    (folder / "broken" / "run.json").write_text("{")
    tickets(folder / "data" / "tickets.csv")
    report(folder / "a")
    with listening(folder) as (_, address):
        yield folder, address


@pytest.mark.parametrize("page", [*PAGES, "/report?name=a"])
def test_a_page_fits_wide_and_narrow_in_light_and_dark(page: str, browser: Browser, studio: tuple[Path, str]) -> None:
    shown, faults = opened(browser, studio[1] + page, 1280, "light")
    assert [one for one in faults if not one.startswith(studio[1]) and not ("404" in one and "=no" in page)] == []
    for place, wide in enumerate(each_way(shown)):
        assert shown.evaluate("document.documentElement.scrollWidth") <= wide
        assert shown.evaluate(BARE) == 0
        assert shown.evaluate(CUT) == []
        if place in (0, 3) and "name=a" not in page:  # a report's own page is looked at elsewhere
            assert faults_of(shown) == []
    shown.close()


def test_words_keep_runs_and_picks_stay_while_runs_appear(browser: Browser, studio: tuple[Path, str]) -> None:
    folder, address = studio
    page, _ = opened(browser, address, 1280, "light")
    page.get_by_label("pick a", exact=True).check()
    page.get_by_label("find").press_sequentially("words")
    page.locator("#runs td.name", has_text="broken").wait_for(state="detached")
    assert page.get_by_label("pick a", exact=True).is_checked()
    going(folder / "words later", HISTORY, 9)
    page.locator("#runs td.name", has_text="words later").wait_for()
    assert page.get_by_label("pick a", exact=True).is_checked()
    assert page.get_by_label("find").evaluate("one => one === document.activeElement")
    page.close()


def test_the_curve_grows_while_somebody_looks(browser: Browser, studio: tuple[Path, str]) -> None:
    from softprompt.training.hold import hold_folder

    folder, address = studio
    run = going(folder / "growing", HISTORY[:3], 9)
    with hold_folder(run):
        page, _ = opened(browser, f"{address}/run?name=growing", 1280, "light")
        comes_to(page.locator("#curve-2 circle.mark"), 3 + 1)  # one is the legend's
        going(run, HISTORY, 18)
        page.locator("#curve-2 circle.mark").nth(5).wait_for()
        comes_to(page.locator("#curve-2 .tools button"), 3)
    page.close()


def test_a_dropped_table_becomes_a_draft_by_the_keyboard_alone(browser: Browser, studio: tuple[Path, str]) -> None:
    page, _ = opened(browser, f"{studio[1]}/train", 1280, "light")
    page.set_input_files("#file", studio[0] / "data" / "tickets.csv")
    page.wait_for_url("**/train?table=tickets.csv")
    assert page.get_by_role("checkbox", name="message").is_checked()
    page.get_by_role("textbox", name="passes").fill("7")
    page.keyboard.press("Tab")
    page.locator("#plan pre", has_text="--epochs 7").first.wait_for()
    assert "Guessed from the table" in page.locator("#plan").inner_text()
    page.get_by_role("radio", name="ticket").check()
    page.locator("#plan", has_text="As chosen").wait_for()
    page.close()


def test_a_sentence_is_asked_and_other_words_are_tried(browser: Browser, studio: tuple[Path, str]) -> None:
    page, _ = opened(browser, f"{studio[1]}/ask?pick=a&pick=table%2Fb", 400, "dark")
    page.get_by_label("text").first.focus()
    page.keyboard.type("w20 w41 w42")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("article").nth(1).wait_for()
    comes_to(page.locator("article .answer"), 2)
    comes_to(page.locator("article").first.locator("i.chance"), 2)
    page.locator("article summary").first.click()
    page.locator("article textarea").first.fill("w70 {text} {mask}")
    page.locator("article button", has_text="Ask with these words").first.click()
    page.locator("article", has_text="with its own words").first.wait_for()
    page.locator("article button", has_text="Where attention goes").last.click()
    page.locator("#look svg").nth(1).wait_for()
    comes_to(page.locator("#look figure .tools"), 2)  # what comes later can be saved, too
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert faults_of(page) == []
    page.close()
