"""The page: well-formed, without an address, and nothing in it that a run's files made markup or a script."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from softprompt.compare.formats.grids import BEST, SECOND
from softprompt.compare.formats.page import _points, as_page
from softprompt.compare.gathering import gather
from softprompt.compare.tabulate import tabulate

from ...shared.compared import HOSTILE, compared
from ...shared.pages import Read
from ...shared.run_folders import cell, hits


@pytest.fixture(scope="module")
def page() -> Read:
    return Read(as_page(compared()))


def test_each_score_opens_a_detail_that_is_there(page: Read) -> None:
    opens = [one["data-opens"] for one in page.all("button") if "data-opens" in one]
    assert len(opens) == len(set(opens)) == sum(len(sheet.results) for sheet in compared().sheets)
    assert {one["id"] for one in page.all("dialog")} == set(opens)


def test_marks_pictures_and_filters(page: Read) -> None:
    sheets = compared().sheets
    kinds = [one["class"] for one in page.all("svg")]
    assert kinds.count("interval") == sum(len(sheet.results) for sheet in sheets)
    assert kinds.count("ranks") == 1
    marks = [one.get("class") for one in page.all("td")]
    assert BEST in marks
    assert SECOND in marks
    options = page.texts["option"]
    assert {"big_model", "tiny", "sst2", "trec", "words"} <= {one.strip() for one in options}
    assert any("begun" in one and "not finished" in one for one in page.texts["li"])


def test_each_row_is_as_long_as_its_head(page: Read) -> None:
    source = as_page(compared(hostile=True))
    for table in re.findall(r"<table[^>]*>(.*?)</table>", source, re.S):
        heads = table.count("<th>") + table.count("<th ")
        rows = re.findall(r"<tr[ >].*?</tr>", table.split("<tbody>")[1], re.S)
        assert rows
        assert {row.count("<td") for row in rows} == {heads}


@pytest.mark.parametrize("hostile", [False, True])
def test_nothing_is_fetched_from_anywhere(hostile: bool) -> None:
    source = as_page(compared(hostile))
    read = Read(source)
    assert not re.search(r"(https?:)?//[a-z]", source)
    assert [one["href"] for one in read.all("link")] == ["data:,"]
    for _, attributes in read.elements:
        assert {"src", "srcset", "action", "poster"}.isdisjoint(attributes)
    assert "@import" not in source
    assert "url(" not in source
    policy = next(one["content"] or "" for one in read.all("meta") if "http-equiv" in one)
    assert policy.startswith("default-src 'none'")


def test_a_name_or_a_text_is_never_markup(tmp_path: Path) -> None:
    mistake: dict[str, Any] = {"file": "a", "line": 1, "text": HOSTILE, "label": HOSTILE, "answer": HOSTILE}
    mistake |= {"probability": 0.9, "score": None}
    behind: dict[str, Any] = {"split": "test", "class_count": 2, "classes": [], "confusion": None, "majority": None}
    behind |= {"confused": [{"label": HOSTILE, "answer": HOSTILE, "rows": 3}], "worst": [mistake]}
    name = "<img src=x onerror=alert(1)>"
    history = [{"step": 1, "accuracy": 0.5}, {"step": 2, "accuracy": 0.6}]
    for seed, method in ((1, HOSTILE), (1, '"><b>')):
        right = hits(method, seed)
        more = {"task": HOSTILE, "backbone": name, "breakdown": behind, "history": history}
        cell(tmp_path / f"<i>{seed}{len(method)}", method, seed, right, **more)
    source = as_page(tabulate([tmp_path], baseline='"><b>'))
    read = Read(source)
    assert [tag for tag, _ in read.elements].count("script") == 1
    assert not {"img", "i"} & {tag for tag, _ in read.elements}
    assert {tuple(one) for one in read.all("b")} == {("class",)}  # the seeds of a detail alone
    assert not [name for _, found in read.elements for name in found if name.startswith("on")]
    assert "\x1b" not in source
    texts = [text for found in read.texts.values() for text in found]
    assert any("<script>alert(1)</script>" in text for text in texts)


def test_a_big_table_stays_small(tmp_path: Path) -> None:
    """As many runs as README's table has, two tasks of which are made here."""
    mistake = {
        "file": "dev.tsv",
        "line": 3,
        "text": "x" * 200,
        "label": "0",
        "answer": "1",
        "probability": 0.9,
        "score": None,
    }
    behind = {
        "split": "test",
        "class_count": 2,
        "classes": [],
        "confusion": None,
        "confused": [],
        "majority": None,
        "worst": [mistake] * 3,
    }
    history = [{"step": 10 * place, "accuracy": 0.5 + place / 100} for place in range(9)]
    for task in ("sst2", "trec"):
        for method in ("capt", "lora", "lpt"):
            for seed in range(5):
                folder = tmp_path / f"{task}-{method}-{seed}"
                cell(folder, method, seed, hits(method, seed), task=task, breakdown=behind, history=history)
    size = len(as_page(tabulate([tmp_path])).encode())
    assert size / 30 * 360 < 1_500_000


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs a browser")
def test_a_browser_sorts_filters_and_opens(tmp_path: Path) -> None:
    act = """<script>
    const head = document.querySelectorAll("section th button")[1]; head.click();
    const order = [...head.closest("table").tBodies[0].rows].map(row => row.cells[1].dataset.value);
    document.getElementById("method").value = "LOR"; show();
    const rows = [...document.querySelectorAll("tr[data-method]")].filter(row => !row.hidden);
    const seen = rows.map(row => row.dataset.method);
    document.querySelector("[data-opens]").click();
    document.title = JSON.stringify([order, [...new Set(seen)], document.querySelectorAll("dialog[open]").length]);
    </script></body>"""
    table = compared(hostile=True)
    (tmp_path / "page.html").write_text(as_page(table).replace("</body>", act), encoding="utf-8")
    command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    command += ["--dump-dom", f"file://{tmp_path}/page.html"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    order, seen, opened = json.loads(title.group(1))
    assert order == sorted(order, key=lambda one: -float(one or "-inf"))
    assert (seen, opened) == (["lora"], 1)


def test_curves_are_of_the_metric_that_is_named(tmp_path: Path) -> None:
    history = [{"step": 1, "accuracy": 0.5, "f1": 0.25}, {"step": 2, "accuracy": 0.6, "f1": 0.125}]
    run = gather([cell(tmp_path / "a", "capt", 1, history=history)]).finished[0]
    assert _points(run, "f1") == ((1.0, 0.25), (2.0, 0.125))
