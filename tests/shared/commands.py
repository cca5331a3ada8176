"""The command line in this process: what it returned and printed, how long it took, and a bench of small things."""

from __future__ import annotations

import io
import json
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import typer

from softprompt import demo
from softprompt.cli import main as cli

from .models import model, tokenizer

# A fault is told within a second of computing; what waits for a pipe or a device computes nothing and is woken.
SECONDS, LONGEST = 1.0, 20


class Waited(BaseException):
    """A call that did not come back."""


@dataclass
class Told:
    """What a command did.

    Attributes:
        code: its exit code.
        out: on standard output.
        err: on standard error.
        seconds: of computing.
        raised: what came out of it instead of an exit code, or None.
    """

    code: int
    out: str
    err: str
    seconds: float
    raised: BaseException | None

    @property
    def refused(self) -> bool:
        """Exit code 1 and one line that says why."""
        lines = self.err.split("\n")
        return self.raised is None and self.code == 1 and lines[-1] == "" and lines[-2].startswith("error: ")


def ask(*words: Any, encoding: str = "utf-8", seconds: int = LONGEST) -> Told:
    """Run a command; its streams are written in an encoding, and it is woken where it does not come back."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="") for _ in range(2)]
    code, raised, begun = 0, None, time.process_time()
    given = ["softprompt", *map(str, words)]
    with mock.patch.object(sys, "argv", given), redirect_stdout(streams[0]), redirect_stderr(streams[1]):
        try:
            with warnings.catch_warnings(), woken(seconds):
                cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        except BaseException as error:
            raised = error
    seconds = time.process_time() - begun
    for stream in streams:
        stream.flush()
    out, err = (stream.buffer.getvalue().decode(encoding) for stream in streams)  # type: ignore[attr-defined]
    return Told(code, out, err, seconds, raised)


def done(*words: Any) -> Told:
    """Run a command that ends well, however long it takes."""
    told = ask(*words, seconds=600)
    assert (told.code, told.raised) == (0, None), told
    return told


def found(*words: Any) -> dict[str, Any]:
    """What a command finds, by `--json`."""
    values: dict[str, Any] = json.loads(done(*words, "--json").out)
    return values


def refusal(*words: Any) -> str:
    """The line in which a command is refused."""
    told = ask(*words, seconds=600)
    assert told.refused, told
    return told.err.splitlines()[-1]


@contextmanager
def woken(seconds: int = LONGEST) -> Iterator[None]:
    """Raise `Waited` in what does not come back."""

    def wake(*_: Any) -> None:
        raise Waited

    before = signal.signal(signal.SIGALRM, wake)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True)
class Bench:
    """A tiny backbone, a task with rows, and a finished run, all in one folder."""

    folder: Path

    @property
    def backbone(self) -> Path:
        return self.folder / "backbone"

    @property
    def task(self) -> Path:
        return self.folder / "task.yaml"

    @property
    def rows(self) -> Path:
        return self.folder / "rows.jsonl"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def train(self, out: Any, **options: Any) -> list[Any]:
        """The words of a training of one step."""
        given = {"backbone": self.backbone, "task": self.task, "data": self.rows, "method": "prompt_tuning", "out": out}
        pairs = {**given, "set": "max_steps=1", **options}
        words = [word for name, value in pairs.items() for word in (f"--{name.replace('_', '-')}", value)]
        return ["train", *words, "--set", "num_virtual_tokens=2", "--set", "learning_rate=0.01"]


def bench(folder: Path) -> Bench:
    """Make one."""
    made = Bench(folder)
    model("llama").save_pretrained(made.backbone)
    tokenizer().save_pretrained(made.backbone)
    made.task.write_text('name: words\ntemplate: "{text} {mask}"\nlabels: {"0": w10, "1": w11}\n')
    rows = [{"text": f"w20 w{20 + place} w{30 + place % 7}", "label": str(place % 2)} for place in range(40)]
    made.rows.write_text("\n".join(map(json.dumps, rows)) + "\n")
    told = ask(*made.train(made.run))
    assert told.code == 0, told
    return made


def narrow(printed: str) -> bool:
    """Whether what was printed fits 100 columns."""
    return max(map(len, printed.splitlines())) <= 100


def _verbs(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    for word, inner in getattr(command, "commands", {}).items():
        yield from _verbs(inner, f"{name} {word}".strip())
    if not hasattr(command, "commands"):
        yield name, command


def _demo() -> Any:
    app = typer.Typer()
    app.command("demo")(demo.demo)
    return typer.main.get_command(app)


# Every verb by its words, as the command that typer makes of it, and the demo.
COMMANDS = {**dict(_verbs(typer.main.get_command(cli.app))), "demo": _demo()}
