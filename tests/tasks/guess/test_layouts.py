"""Files whose layout tells their kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from softprompt.tasks import Task
from softprompt.tasks.guess.layouts import recognised

from ...shared.tables import write

ARTICLE = {"title": "A", "paragraphs": [{"context": "c", "qas": []}]}


@pytest.mark.parametrize(
    "row",
    [
        ARTICLE,
        {"version": "1.1", "data": [ARTICLE]},
        {"id": "1", "context": "c", "question": "q", "answers": {"text": ["a"], "answer_start": [0]}},
    ],
)
def test_squad(row: dict[str, Any]) -> None:
    keys = recognised(lambda: iter([row]))
    assert keys is not None
    assert (keys["layout"], keys["kind"]) == ("squad", "extraction")


@pytest.mark.parametrize("row", [{}, {"text": "a", "label": 1}, {"context": "c", "question": "q", "answers": "a"}])
def test_a_row_of_a_table_is_of_no_layout(row: dict[str, Any]) -> None:
    assert recognised(lambda: iter([row])) is None


def test_words_with_a_tag_each(tmp_path: Path) -> None:
    """In a file of a word a line whatever its name, and in lists; the tags of every part count."""
    lines = "".join(f"Anna B-PER\nsleeps{n} O\n\nRome B-LOC\nsleeps{n} O\n\n" for n in range(6))
    rows = [{"tokens": ["Anna", "sleeps"], "ner_tags": ["B-PER", "O"]}, {"tokens": ["Rome"], "ner_tags": ["B-LOC"]}]
    for name in ("a.conll", "a.txt", "a.bio", "words.train"):
        task = Task.from_file(write(tmp_path / name, lines))
        assert (task.kind, set(task.labels), len(task.splits().train)) == ("tags", {"O", "B-PER", "B-LOC"}, 10), name
    task = Task.from_file({"train": rows * 5, "test": [{"tokens": ["CIA"], "ner_tags": ["B-ORG"]}]})
    assert (set(task.labels), len(task.splits().test)) == ({"O", "B-PER", "B-LOC", "B-ORG"}, 1)
    assert task.notes == (f"text: words; label: a tag for each ({', '.join(task.labels)})",)
