"""From a table to a training: what is guessed, the command, the lines of Python, and where the table is kept."""

from __future__ import annotations

import ast
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from softprompt.cli.main import app
from softprompt.errors import SoftPromptError
from softprompt.studio.drafts import Draft, first_rows, guessed, keep, kept, table_of
from softprompt.studio.places import Root

from ..shared.commands import COMMANDS
from ..shared.studios import TEAMS, tickets


@pytest.fixture
def draft(tmp_path: Path) -> Draft:
    return Draft(tickets(tmp_path / "data" / "my tickets.csv"), tmp_path / "runs" / "one", "embedded:minilm")


def test_a_table_is_guessed_as_the_command_line_guesses_it(draft: Draft) -> None:
    found = guessed(draft)
    assert (found.text, found.label, found.kind) == (("message",), "team", "classification")
    assert found.told == "text: message; label: team (3 classes: desk, post, tech)"
    assert sum(found.rows) == 60
    assert {name for name, _ in found.labels} == set(TEAMS)
    assert sum(count for _, count in found.labels) == found.rows[0]
    chosen = guessed(replace(draft, text=found.text, label=found.label))
    assert chosen == found


def test_columns_that_cannot_be_told_apart_are_a_line_and_can_be_chosen(draft: Draft) -> None:
    lines = draft.data.read_text().splitlines()
    shifts = ["shift", *(("early", "late")[place % 2] for place in range(60))]
    draft.data.write_text("\n".join(f"{line},{more}" for line, more in zip(lines, shifts, strict=True)))
    with pytest.raises(SoftPromptError, match="which column is the label"):
        guessed(draft)
    assert first_rows(draft.data).columns == ("ticket", "message", "team", "shift")
    assert guessed(replace(draft, label="shift")).labels[0][0] in ("early", "late")


def test_the_command_is_one_that_the_program_takes(draft: Draft) -> None:
    full = replace(draft, method="capt", text=("message",), label="team", epochs=3)
    words = full.command()
    assert shlex.split(shlex.join(words)) == words
    known = {name for option in COMMANDS["train"].params for name in option.opts}
    assert {word for word in words if word.startswith("--")} <= known
    assert str(full.data) in words
    assert words[-2:] == ["--out", str(full.out)]
    assert app is not None


@pytest.mark.parametrize(
    "chosen", [{}, {"method": "capt", "text": ("message", "ticket"), "label": "team", "epochs": 3}]
)
def test_the_lines_are_ten_and_python(draft: Draft, chosen: dict[str, object]) -> None:
    lines = replace(draft, **chosen).python()  # type: ignore[arg-type]
    ast.parse("\n".join(lines))
    assert len(lines) <= 10


def test_a_table_without_a_line_of_names_is_shown_by_the_names_that_a_task_takes(tmp_path: Path) -> None:
    path = tickets(tmp_path / "bare.csv")
    path.write_text("\n".join(path.read_text().splitlines()[1:]))
    found = guessed(Draft(path, tmp_path / "run", "tiny"))
    assert (found.text, found.label) == (("column2",), "column3")
    assert first_rows(path).columns == ("column1", "column2", "column3")
    assert guessed(Draft(path, tmp_path / "run", "tiny", text=found.text, label=found.label)).labels == found.labels


def test_a_table_is_kept_once_and_never_written_over(tmp_path: Path) -> None:
    root = Root(tmp_path)
    first = keep(root, "../../my tickets.CSV", b"a,b\n")
    assert first == tmp_path / "data" / "my_tickets.csv"
    assert keep(root, "my tickets.CSV", b"a,b\n") == first
    assert keep(root, "my tickets.CSV", b"c,d\n").name == "my_tickets-2.csv"
    assert first.read_bytes() == b"a,b\n"
    assert kept(root) == ["my_tickets-2.csv", "my_tickets.csv"]
    assert table_of(root, "my_tickets.csv") == first
    assert keep(root, f"{'long ' * 40}.tsv", b"a\tb\n").suffix == ".tsv"


@pytest.mark.parametrize(
    ("name", "content"), [("a.exe", b"x"), ("a", b"x"), ("a.csv", b""), (".csv", b"x"), ("", b"x")]
)
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(SoftPromptError):
        keep(Root(tmp_path), name, content)
    assert not (tmp_path / "data").exists()


def test_only_a_table_that_was_dropped_in_is_read(tmp_path: Path) -> None:
    tickets(tmp_path / "data" / "a.csv")
    tickets(tmp_path / "other.csv")
    for name in ("../other.csv", str(tmp_path / "other.csv"), "b.csv", ""):
        with pytest.raises(SoftPromptError, match="no such table"):
            table_of(Root(tmp_path), name)
