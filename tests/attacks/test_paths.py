"""Every place of a path on the command line: one line and exit code 1, nothing lost and nothing left behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ..shared.commands import Bench, ask, bench
from .paths import hostile, inside, try_inside, try_verb, verbs

# Every place meets these, and each meets two more by turns; `benchmarks/reliability.py --only paths` tries them all.
ALWAYS = ("circle of links", "empty")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench(tmp_path_factory.mktemp("bench"))


@pytest.mark.parametrize(("turn", "verb"), list(enumerate(verbs(Bench(Path())))))
def test_hostile_paths(turn: int, verb: str, made: Bench) -> None:
    kinds = list(hostile(verbs(made)[verb][2]))
    for kind in {*ALWAYS, kinds[turn % len(kinds)], kinds[(5 * turn + 3) % len(kinds)], kinds[-1]}:
        told, kept = try_verb(made, verb, kind)
        assert told.refused, (kind, told)
        assert kept, (kind, told)


@pytest.mark.parametrize("verb", ["predict", "resume"])
def test_a_pipe_in_the_place_of_a_runs_file(verb: str, made: Bench) -> None:
    for name in inside(made):
        told = try_inside(made, name, verb)
        assert told.raised is None, (name, told)
        assert told.refused or told.code == 0, (name, told)


def test_the_demos_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from softprompt import demo

    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "x", "x" * 300, ""):
        monkeypatch.setattr(sys, "argv", ["demo", "--out", str(path)])
        with pytest.raises(SystemExit) as stop:
            demo.main()
        assert stop.value.code == 1
        assert capsys.readouterr().err.splitlines()[-1].startswith("error: --out")


def test_a_reader_that_has_read_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    from softprompt.cli import tasks

    def broken(*_: object, **__: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(tasks, "table", broken)
    monkeypatch.setattr("os.dup2", lambda *_: None)
    told = ask("tasks")
    assert (told.code, told.err, told.raised) == (1, "", None)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "/x\x1b"), "error: /x\\x1b: Permission denied"),
        (OSError(28, "No space left on device"), "error: the system: No space left on device"),
        (MemoryError(), "error: there is not enough memory"),
    ],
)
def test_what_the_system_refuses_is_one_line(error: BaseException, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from softprompt.cli import tasks

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(tasks, "table", refuse)
    told = ask("tasks")
    assert told.refused
    assert told.err.startswith(line)
