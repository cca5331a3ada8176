"""Texts to adapt to come from lines or a column."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.training.adaptation.texts import read_texts


def test_texts_come_from_lines_or_a_column(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one text\n\n another \n")
    (tmp_path / "b.jsonl").write_text('{"body": "w1"}\n{"body": "w2"}\n')
    assert read_texts(tmp_path / "a.txt") == ["one text", "another"]
    assert read_texts(tmp_path / "b.jsonl", "body") == ["w1", "w2"]
    for name, content, message in (
        ("c.txt", "\n \n", "no text"),
        ("d.jsonl", '{"text": 3}\n', "line 1"),
        ("e.csv", "title\nx\n", "'text'"),
        ("f.pdf", "x", "not read"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(SoftPromptError, match=message):
            read_texts(tmp_path / name)
