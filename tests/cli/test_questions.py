"""Standard input is read where `-` or a pipe asks for it; no folder and no table is taken for a text."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from softprompt.cli.questions import check_asked
from softprompt.errors import SoftPromptError

from ..shared.commands import done, refusal


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> object:
    def send(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return send


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Standard input is a pipe with two lines."""
    out, into = os.pipe()
    os.write(into, b"w20 w41\nw30\n")
    os.close(into)
    with open(out) as file:
        monkeypatch.setattr(sys, "stdin", file)
        yield


@pytest.mark.parametrize("words", [["-"], ["--file", "-"]])
@pytest.mark.parametrize(
    "text",
    ["w20 w41\n\nw30\n", "sentence,id\nw20 w41,1\nw30,2\n", "id\tsentence\n1\tw20 w41\n2\tw30\n",
     '{"sentence": "w20 w41"}\n{"sentence": "w30"}\n'],
    ids=["lines", "csv", "tsv", "jsonl"],
)  # fmt: skip
def test_what_is_sent_is_answered(trained: Path, sent: object, words: list[str], text: str) -> None:
    alone = done("predict", trained, "w20 w41", "w30").out
    sent(text)  # type: ignore[operator]
    assert done("predict", trained, *words).out == alone


def test_a_pipe_needs_no_dash(trained: Path, pipe: None) -> None:
    assert len(done("predict", trained).out.splitlines()) == 2


def test_a_text_beside_a_pipe_is_the_question(pipe: None) -> None:
    assert check_asked(["w20"], None, []) == (["w20"], None)


def test_nothing_sent_is_refused(trained: Path, sent: object) -> None:
    sent("")  # type: ignore[operator]
    assert "no rows" in refusal("predict", trained, "-")
    assert "nothing to predict" in refusal("predict", trained)


def test_a_field_that_is_given_twice_is_refused(trained: Path) -> None:
    told = refusal("predict", trained, "--field", "sentence=w20", "--field", "sentence=w30")
    assert "--field 'sentence' is given twice" in told


def test_a_folder_and_a_table_are_no_texts(tmp_path: Path) -> None:
    assert "is a folder, and no text" in refusal("predict", tmp_path, "a text", tmp_path)
    (tmp_path / "rows.csv").write_text("x")
    for texts, words in (([str(tmp_path / "rows.csv")], "is a file, and no text"), (["-", "w20"], "too much")):
        with pytest.raises(SoftPromptError, match=words):
            check_asked(texts, None, [])
    assert check_asked(["no\0path"], None, []) == (["no\0path"], None)


def test_a_text_that_names_a_column_is_a_text(trained: Path, sent: object) -> None:
    lines = ["sentence, w20 w41 w42 w43 w44", "w30, w31"]
    sent("\n".join(lines) + "\n")  # type: ignore[operator]
    assert done("predict", trained, "-").out == done("predict", trained, *lines).out


def test_a_fault_is_told_of_what_was_sent(trained: Path, sent: object) -> None:
    sent('sentence,id\n"w20,1\n')  # type: ignore[operator]
    told = refusal("predict", trained, "-")
    assert told.startswith("error: standard input, line 2: not proper csv"), told
