"""What the pages show can be typed and read: commands are those of the program, lines fit, search needs no server."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from softprompt.cli.known import all_options
from softprompt.methods import methods

from .shared.commands import COMMANDS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
# Methods and options of a page's own example, and what stands for any.
OTHERS = ("low_rank_prompt", "rank", "METHOD", "auto")
# What a page shows at 1280 pixels, beside its contents and the list of pages.
WIDTH = 80
_BLOCK = re.compile(r"^( *)```(\S*)\n(.*?)^\1```$", re.M | re.S)
_SPAN = re.compile(r"`(softprompt [^`]+)`")


def blocks(page: Path) -> list[tuple[str, str]]:
    """Each block of code of a page: its language and its text."""
    return [(found[2], found[3]) for found in _BLOCK.finditer(page.read_text(encoding="utf-8"))]


class Shown(NamedTuple):
    """A command of a page.

    Attributes:
        line: of the shell.
        whole: whether nothing of it is left out.
        answer: the line below it, where the page shows what it prints.
    """

    line: str
    whole: bool
    answer: str = ""


def commands(page: Path) -> Iterator[Shown]:
    """What a page says to type: blocks of the shell, what stands behind `$`, and spans of code."""
    for language, text in blocks(page):
        lines = text.replace("\\\n", " ").splitlines()
        if language == "console":
            for line, below in zip(lines, [*lines[1:], ""], strict=True):
                if line.startswith("$ "):
                    yield Shown(line.removeprefix("$ "), "..." not in line, below)
        elif language == "sh":
            yield from (Shown(line, "..." not in line) for line in lines if line.strip())
    prose = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    yield from (Shown(found[1].replace("\n", " "), False) for found in _SPAN.finditer(prose))


def programs(command: str) -> Iterator[list[str]]:
    """The words of each program of a line, without comments, redirections and the dots of what is left out."""
    part: list[str] = []
    for word in [*shlex.split(re.sub(r"(^| )\.\.\.( |$)", " ", command), comments=True), "|"]:
        if word in ("|", "&&", ">", "<"):
            yield part
            part = []
        else:
            part.append(word)


def check(given: list[str], shown: Shown) -> None:
    """A command line that the program itself can read or not, as the page has it, with names that there are."""
    count = next((count for count in (2, 1) if " ".join(given[:count]) in COMMANDS), 0)
    if not count:
        assert given[0] in {"-h", "--version", "--install-completion", "--show-completion", "VERB"}, given
        return
    asked = [word for word in given[count:] if word != "-h"]
    try:
        found = COMMANDS[" ".join(given[:count])].make_context("softprompt", asked).params
    except Exception as error:
        left_out = type(error).__name__ == "MissingParameter" and not shown.whole
        if left_out or shown.answer.startswith("Error: "):
            return
        raise
    assert not shown.answer.startswith("Error: "), "the program reads this"
    if shown.answer.startswith("error: "):
        return
    if given[:count] == ["train"] and shown.whole and not found["resume"]:  # what goes on has them from its record
        assert found["backbone"], given
        assert found["task"] or found["data"], given
    if found.get("method"):
        named = found["method"] if isinstance(found["method"], list) else [found["method"]]  # as `compare` takes them
        assert {re.split("[@:]", one)[0] for one in named} <= {*methods(), *OTHERS}
    if str(found.get("backbone")).startswith("embedded:"):
        assert found["backbone"] in ("embedded:gemma3-270m", "embedded:minilm")
    for pair in found.get("set_") or ():
        assert pair.partition("=")[0].rpartition(".")[2] in {*all_options(), *OTHERS}


@every_page
def test_commands_of_a_page_can_be_typed(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for shown in commands(page):
        for given in programs(shown.line):
            if given[:1] == ["softprompt"]:
                check(given[1:], shown)
            elif given[:1] == ["make"]:
                assert {word for word in given[1:] if "=" not in word} <= targets


@every_page
def test_no_line_of_code_is_cut_off(page: Path) -> None:
    for language, text in blocks(page):
        assert language, f"a block without a language: {text}"
        if page.name != "README.md" or language != "text":  # that page is read at another width
            assert [line for line in text.splitlines() if len(line) > WIDTH] == []


def test_every_page_is_in_the_navigation() -> None:
    listed = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f": {page.name}\n" not in listed] == []


def test_search_works_from_the_disk() -> None:
    """The theme reads its index from a script, and what it would fetch to do so lies beside the pages."""
    lines = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "\n  - search\n  - offline\n" in lines
    (shim,) = re.findall(r"polyfills: \[(.*)\]", lines)
    assert "iframe-worker" in shim, "by this name the plugin knows it"
    assert (ROOT / "docs" / shim).is_file()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_searches_the_pages_from_the_disk(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--host-resolver-rules=MAP * ~NOTFOUND"]
    page = f"file://{tmp_path}/methods/capt.html?q=verbalizer"
    command = [
        "chromium",
        *options,
        f"--user-data-dir={tmp_path}/own",
        "--virtual-time-budget=15000",
        "--dump-dom",
        page,
    ]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert re.search(r"md-search-result__meta[^>]*>\s*\d+ matching documents", shown)
    assert "glossary.html#verbalizer" in shown
