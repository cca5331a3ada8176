"""Names and texts that a terminal, a page or a reader of lines would obey, in everything that is printed."""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from rich.console import Console

from softprompt.errors import OBEYED

from ..shared.commands import Bench, Told, ask, bench

TITLE = "markup"
PROMISE = (
    "no name, label, text or path is read as markup, as HTML or by the terminal: it is shown as it is, control "
    "characters escaped, and a message stays one line whatever it quotes"
)
TESTS = ["tests/attacks/test_markup.py", "tests/pages/test_shell.py"]

# What rich, emoji codes, a terminal, a reader of lines and an encoder would obey.
HOSTILE = {
    "style": "[red]it[/red]",
    "closing": "[/]it",
    "unclosed": "[bold it",
    "link": "[link=https://example.org]it[/link]",
    "backslash": "it\\[red]\\",
    "emoji": ":smile: it",
    "escape": "it\x1b[2J\x1b]0;title\x07",
    "C1": "it\x9b2J",
    "lines": "it\r\nerror: not ours\x0b\u2028",
    "direction": "it\u202etxt.exe",
    "HTML": '<b>it</b><a href="javascript:alert(1)">x</a>&amp;',
    "braces": "{it}{0}%s{{",
    "markdown": "`it` ![x](y) | **z**",
}
# Tried on a stream of ASCII, too: what it must escape, and what it must not.
_ASCII = ("style", "C1", "direction")
# A file name may be no Unicode, and may hold no slash.
PATHS = {**{kind: text.replace("/", "_") for kind, text in HOSTILE.items()}, "no Unicode": "it\udcff"}
_ESCAPES = re.compile("\x1b\\[[0-9;?]*[A-Za-z]")


@contextmanager
def terminal() -> Iterator[io.StringIO]:
    """Standard streams that rich takes for a terminal, which bars are drawn on."""
    stream = io.StringIO()

    def console(**_: Any) -> Console:
        return Console(file=stream, force_terminal=True, width=200)

    with mock.patch("softprompt.progress.Console", console), mock.patch("softprompt.cli.common.Console", console):
        yield stream


def hostile_bench(folder: Path, name: str, path: str) -> Bench:
    """A bench whose task, label values and folders have hostile names; the tiny tokenizer knows its label words."""
    made = Bench(folder / path)
    made.folder.mkdir()
    made.task.write_text(
        json.dumps(
            {
                "name": name,
                "description": name,
                "template": "{text} {mask}",
                "labels": {f"0{name}": "w10", f"1{name}": "w11"},
            }
        )
    )
    rows = [{"text": f"w{20 + place} {name}", "label": f"{place % 2}{name}"} for place in range(12)]
    made.rows.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return made


def commands(made: Bench, backbone: Path, name: str) -> dict[str, list[Any]]:
    """Every verb with a hostile name in each place that takes one; those that fail must say so in one line."""
    run, rows, task = made.run, made.rows, made.task
    own = ["--task", task, "--data", rows]
    asked = {
        "train": ["train", "--backbone", backbone, *own, "--method", "instruction", "--out", run]
        + ["--set", "max_steps=1", "--set", "learning_rate=0.01", "--set", "text=w20 w30"],
        "evaluate": ["evaluate", run, *own],
        "predict": ["predict", run, f"w20 {name}"],
        "predict json": ["predict", run, f"w20 {name}", "--json"],
        "predict field": ["predict", run, "--field", f"{name}=w20"],
        "ensemble": ["ensemble", run, run, *own],
        "transfer": ["transfer", run, *own],
        "discretise": ["discretise", run, *own],
        "nearest": ["explain", "nearest", run, "--page", made.folder / "nearest.html"],
        "similarity": ["explain", "similarity", run, run, "--page", made.folder / "similarity.html"],
        "tasks": ["tasks", task],
        "train again": ["train", "--backbone", backbone, *own, "--method", "instruction", "--out", run],
    }
    faults = {
        "no such task": ["tasks", name],
        "no such method": ["train", "--backbone", backbone, *own, "--method", name, "--out", made.folder / "x"],
        "no such option": ["train", "--backbone", backbone, *own, "--method", "capt", "--out", made.folder / "x"]
        + ["--set", f"{name}=1"],
        "no such value": ["train", "--backbone", backbone, *own, "--method", "capt", "--out", made.folder / "x"]
        + ["--set", f"max_steps={name}"],
        "no such backbone": ["methods", "--backbone", f"./{name}"],
        "no such split": ["evaluate", run, "--split", name],
        "no such run": ["predict", made.folder / name, "w20"],
        "no such words": ["transfer", run, *own, "--words", f"{name}=w10"],
        "no such arms": ["select", "--backbone", backbone, *own, "--out", made.folder / "y", "--arms", name or "x"],
        "no such seeds": ["select", "--backbone", backbone, *own, "--out", made.folder / "y", "--seeds", name],
        "too many words": ["doctor", name],
        "no such verb": [name],
        "no such switch": ["doctor", f"--{name}"],
    }
    return asked if "train" in name else {**asked, **faults}


def obeyed(text: str) -> list[str]:
    """What in a printed text a terminal would obey; lines end, and `predict` prints two columns."""
    return [found for found in OBEYED.findall(text) if found not in "\n\t"]


def judge(verb: str, told: Told, fails: bool) -> list[str]:
    """What is wrong with what a command did."""
    wrong = []
    if told.raised is not None:
        wrong.append(f"raised {told.raised!r}")
    if fails and told.code not in (1, 2):
        wrong.append(f"exit code {told.code}")
    if not fails and told.code != 0:
        wrong.append(f"exit code {told.code}: {told.err}")
    if told.code == 1 and not told.refused:
        wrong.append(f"no one line: {told.err!r}")
    wrong += [f"printed {found!r}" for found in obeyed(told.out) + obeyed(told.err)]
    return wrong


def measure(tick: Callable[..., None]) -> dict[str, int]:
    """Every verb with every hostile name."""
    counts: Counter[str] = Counter(dict.fromkeys(("commands", "not shown as they are", "tracebacks"), 0))
    with tempfile.TemporaryDirectory() as folder:
        backbone = bench(Path(folder) / "bench").backbone
        for kind, name in HOSTILE.items():
            path = PATHS[kind]
            for encoding in ("utf-8", "ascii") if kind in _ASCII else ("utf-8",):
                made = hostile_bench(Path(folder), name, f"{encoding}{path}")
                for verb, words in commands(made, backbone, name).items():
                    told = ask(*words, encoding=encoding)
                    fails = verb.startswith(("no such", "too many", "predict field")) or verb == "train again"
                    counts["commands"] += 1
                    counts["not shown as they are"] += bool(judge(verb, told, fails))
                    counts["tracebacks"] += told.raised is not None
                    tick()
    return dict(counts)
