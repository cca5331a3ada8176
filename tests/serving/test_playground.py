"""The pages of a server in a browser: tasks are tried there, and nothing is asked of any other machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from softprompt.serving.playground import fragment, playground

from ..shared.browsers import comes_to, needs_browser, opened
from ..shared.served import GENERATION, TEXTS, Server, alone, put, server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TOKEN = "a-token-of-this-test"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("playground") / "prompts"
    put(found, "labels", "llama", "prompt_tuning", {"num_virtual_tokens": 2}, seed=1)
    put(found, "writer", "llama", "capt", {}, seed=2, **GENERATION, wishes={"max_new_tokens": 5})
    put(found, "a_name_without_a_space_that_is_as_long_as_a_name_may_be_here_xyz", "llama", "capt", {}, seed=3)
    return found


@pytest.fixture(scope="module")
def served(root: Path) -> Iterator[Server]:
    with server(root, "llama", token=TOKEN) as one:
        yield one


@needs_browser
@pytest.mark.parametrize(("wide", "scheme"), [(1280, "light"), (400, "dark")])
def test_tasks_are_tried_on_the_page(browser: Browser, served: Server, root: Path, wide: int, scheme: str) -> None:
    page, asked = opened(browser, served.url, wide, scheme)
    page.get_by_role("status").filter(has_text="wants a token").wait_for()
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_label("Token").blur()
    for name in ("labels", "writer"):
        page.get_by_label(name).check()
    page.get_by_label("a_name_without").uncheck()
    page.get_by_label("Text").fill(TEXTS[0])
    page.get_by_role("button", name="Ask").click()
    label, text = alone(root, "labels", "llama", TEXTS[:1])[0], alone(root, "writer", "llama", TEXTS[:1])[0]
    page.locator(".answer", has_text=f"{label.label}: {label.word} ({label.probability:.3f})").wait_for()
    page.locator(".answer .said", has_text=text.label).wait_for()
    comes_to(page.locator("meter"), 2)
    assert page.get_by_role("heading", level=2).all_text_contents() == ["labels", "writer"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe().run(page)
    assert axe.response["violations"] == []
    unasked = [one for one in asked if not one.startswith(served.url)]  # but for the look without a token
    assert all("status of 401" in one for one in unasked), unasked
    assert f"{served.url}/v1/classify" in asked
    page.close()


@needs_browser
def test_what_writes_is_asked_for_its_text_as_it_is_written(browser: Browser, served: Server, root: Path) -> None:
    page, asked = opened(browser, served.url, 1280, "light")
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_label("Token").blur()
    page.get_by_label("writer").check()
    page.get_by_label("a_name_without").uncheck()
    page.get_by_label("Text").fill(TEXTS[0])
    page.get_by_role("button", name="Ask").click()
    page.locator(".answer .said", has_text=alone(root, "writer", "llama", TEXTS[:1])[0].label).wait_for()
    assert f"{served.url}/v1/completions" in asked
    assert f"{served.url}/v1/classify" not in asked
    page.close()


@needs_browser
def test_the_routes_are_described_without_asking_anybody(browser: Browser, served: Server) -> None:
    page, asked = opened(browser, f"{served.url}/docs", 1280, "light")
    heads = page.get_by_role("heading", level=2).all_text_contents()
    assert {"POST /v1/classify", "POST /v1/chat/completions", "GET /v1/models", "GET /metrics"} <= set(heads)
    assert "max_completion_tokens" in page.content()
    assert asked == []
    page.close()


def test_the_playground_is_a_part_of_other_pages_too() -> None:
    part, whole = fragment("/serve"), playground(api="/serve", token=False)
    assert 'data-api="/serve"' in part.form
    assert part.form in whole
    assert part.script.strip() in whole
    assert "Token" not in part.form
