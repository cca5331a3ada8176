"""The pictures of the gallery: a new user's way through the studio, in a browser, from a table to an answer.

    python -m docs.gallery            # into docs/img/gallery, with runs of its own in a scratch folder
    python -m docs.gallery --runs R   # with the runs of a folder, which are made where they are missing

It drops `docs/examples/tickets.csv` into the studio, trains, reads the report, asks the prompt, trains another method
on the command line, and compares the two. What it does and how long each step took is told as it goes.
"""

from __future__ import annotations

import argparse
import io
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[1]
TABLE, PICTURES = ROOT / "docs" / "examples" / "tickets.csv", ROOT / "docs" / "img" / "gallery"
SENTENCE = "Nobody rang, and the tracking still says in transit"
EPOCHS, COLOURS, MINUTES = "8", 64, 20
WIDE = {"width": 1280, "height": 800}


def picture(page: Page, name: str, *, scheme: str = "light", phone: bool = False, high: int = 800) -> None:
    """Take a picture of a page, in few colours so that it is small."""
    page.set_viewport_size({"width": 400 if phone else 1280, "height": high})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # light or dark
    page.wait_for_timeout(400)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{name}.png"
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light")


@contextmanager
def step(what: str) -> Iterator[None]:
    """Tell how long something took."""
    begun = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - begun:.0f} s", flush=True)


@contextmanager
def studio(runs: Path) -> Iterator[str]:
    """The address of a studio, which is ended afterwards."""
    words = [sys.executable, "-m", "softprompt", "studio", runs.name, "--port", "0"]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=runs.parent)  # noqa: S603
    assert child.stdout is not None
    yield child.stdout.readline().split()[3].rstrip("/")
    child.terminate()
    child.wait(60)


def train(page: Page, address: str) -> None:
    """From the table to the report."""
    page.goto(f"{address}/train")
    picture(page, "train", phone=True, high=460)
    page.set_input_files("#file", TABLE)
    page.wait_for_url("**/train?table=*")
    page.get_by_role("textbox", name="passes").fill(EPOCHS)
    page.keyboard.press("Tab")
    with step("the estimate"):
        page.locator("#estimate", has_text="about").wait_for(timeout=MINUTES * 60_000)
    picture(page, "draft", high=1020)
    with step("training and report"):
        page.get_by_role("button", name="Begin the training").click()
        page.locator("#curve-2 circle.mark").nth(4).wait_for(timeout=MINUTES * 60_000)
        picture(page, "curve")
        page.goto(address)
        picture(page, "training", high=300)
        page.go_back()
        page.wait_for_url("**/report?name=*", timeout=MINUTES * 60_000)
    page.wait_for_timeout(800)
    picture(page, "report")


def ask(page: Page, address: str, names: list[str]) -> None:
    """A sentence, its words, and where attention goes."""
    page.goto(f"{address}/ask?" + "&".join(f"pick={name}" for name in names))
    page.get_by_label("message").first.fill(SENTENCE)
    with step("the first answer"):
        page.get_by_role("button", name="Ask", exact=True).click()
        page.locator("article .answer").nth(len(names) - 1).wait_for(timeout=MINUTES * 60_000)
    picture(page, "ask", high=700)
    picture(page, "ask-phone", scheme="dark", phone=True)
    page.locator("article summary").last.click()
    page.locator("article textarea").last.fill("Which team? {message} {mask}")
    page.get_by_role("button", name="Ask with these words").last.click()
    page.locator("article", has_text="with its own words").first.wait_for(timeout=60_000)
    picture(page, "reworded", scheme="dark")
    page.get_by_role("button", name="Where attention goes").last.click()
    page.locator("#look svg").nth(1).wait_for(timeout=60_000)
    page.locator("#look h2").evaluate("head => head.scrollIntoView()")
    picture(page, "anchors", high=620)


def compare(page: Page, address: str, names: list[str]) -> None:
    """The table of runs, and two of them beside one another."""
    page.goto(f"{address}/?group=task")
    for name in names:
        page.get_by_label(f"pick {name}", exact=True).check()
    picture(page, "runs", high=380)
    picture(page, "runs-phone", scheme="dark", phone=True)
    with step("the comparison"):
        page.get_by_role("button", name="Compare what is picked").click()
        page.locator("iframe").wait_for(timeout=MINUTES * 60_000)
    page.wait_for_timeout(800)
    picture(page, "comparison", scheme="dark")


def report(page: Page, run: Path) -> None:
    """Parts of a report, as the file stands on the disk."""
    page.goto(f"file://{run / 'report.html'}")
    picture(page, "report-phone", phone=True)
    page.get_by_role("heading", name=re.compile("Labels and answers")).evaluate("one => one.scrollIntoView()")
    picture(page, "answers")
    page.get_by_text(re.compile("Wrong answers: ")).last.evaluate("one => one.scrollIntoView()")
    picture(page, "mistakes", high=300)
    page.get_by_role("heading", name=re.compile("Prompts of the rows")).first.evaluate("one => one.scrollIntoView()")
    picture(page, "instances", high=640)


def pictures(browser: Browser, runs: Path) -> None:
    """All of them."""
    with studio(runs) as address:
        page = browser.new_page(viewport=WIDE)  # type: ignore[arg-type]  # a width and a height
        if not (runs / "tickets" / "report.html").is_file():
            train(page, address)
        if not (runs / "tickets-p_tuning_v2" / "metrics.json").is_file():
            words = f"train --backbone embedded:minilm --data {runs.name}/data/tickets.csv --text message --label team"
            words += f" --method p_tuning_v2 --epochs {EPOCHS} --out {runs.name}/tickets-p_tuning_v2 --quiet"
            with step("another method"):
                subprocess.run([sys.executable, "-m", "softprompt", *words.split()], check=True, cwd=runs.parent)  # noqa: S603
        compare(page, address, ["tickets", "tickets-p_tuning_v2"])
        ask(page, address, ["tickets", "tickets-p_tuning_v2"])
        report(page, runs / "tickets")


def main() -> None:
    """Make the pictures."""
    options = argparse.ArgumentParser(description="Make the pictures of the gallery.")
    options.add_argument("--runs", type=Path, help="folder of the runs; default: a scratch folder")
    given = options.parse_args().runs
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as own:
        runs = (Path(scratch) / "runs" if given is None else given).resolve()
        runs.mkdir(parents=True, exist_ok=True)
        browser = own.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        pictures(browser, runs)
        browser.close()


if __name__ == "__main__":
    main()
