"""A browser for pages: it is started once a file, and what a page may not do is told with it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium")
BARE = "[...document.querySelectorAll('figure svg')].filter(one => !one.querySelector('.mark, rect')).length"
# What stands in a picture ends inside it; a wide picture is scrolled to.
CUT = """[...document.querySelectorAll("svg.plot text")].filter(one => one.checkVisibility()).filter(one => {
  const own = one.getBoundingClientRect(), all = one.ownerSVGElement.getBoundingClientRect();
  return own.left < all.left - 2 || own.right > all.right + 2 || own.bottom > all.bottom + 2;
}).map(one => one.textContent)"""


@pytest.fixture(scope="module", name="browser")
def chromium() -> Iterator[Browser]:
    """One for a file."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright axe-playwright-python")
    with playwright.sync_playwright() as own:
        opened = own.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


def opened(browser: Browser, address: str, wide: int, scheme: Any) -> tuple[Page, list[str]]:
    """A page at a width and a setting of colours, and what it asks for besides itself or complains of, also later."""
    page = browser.new_page(viewport={"width": wide, "height": 900}, color_scheme=scheme)
    faults: list[str] = []

    def note(words: str) -> None:
        if words != address and not words.startswith("data:,"):
            faults.append(words)

    page.on("request", lambda one: note(one.url))
    page.on("console", lambda one: note(one.text))
    page.on("pageerror", lambda one: note(str(one)))
    page.goto(address)
    return page, faults


def comes_to(found: Locator, count: int) -> None:
    """Wait until so many are there: what a page does after an answer comes a moment later."""
    from playwright.sync_api import expect

    expect(found).to_have_count(count)


def each_way(page: Page) -> Iterator[int]:
    """A page wide and narrow, light and dark: the widths."""
    for scheme in ("light", "dark"):
        for wide in (1280, 400):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": wide, "height": 900})
            yield wide


def faults_of(page: Page) -> list[tuple[str, str]]:
    """What axe finds on a page that is serious, each with the first element that has it."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
    found = axe.Axe().run(page).response["violations"]
    serious = (one for one in found if one["impact"] in ("serious", "critical"))
    return [(one["id"], one["nodes"][0]["html"][:80]) for one in serious]
