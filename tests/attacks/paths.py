"""Every verb and every Python call that takes a path, against everything that a path may name."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import softprompt as sp
from softprompt.errors import SoftPromptError

from ..shared.commands import SECONDS, Bench, Told, ask, bench, woken
from ..shared.models import model, tokenizer

TITLE = "paths"
PROMISE = (
    "a path that cannot be used is one line and exit code 1, in Python `SoftPromptError`, within a second; nothing on "
    "disk is lost or left behind"
)
TESTS = ["tests/attacks/test_paths.py", "tests/guards/test_paths.py"]


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        before = Path.cwd()
        os.chdir(path.parent)  # a socket's address is short
        try:
            made.bind(path.name)
        finally:
            os.chdir(before)


def _circle(path: Path) -> None:
    other = path.with_name("round" + path.name)
    path.symlink_to(other)
    other.symlink_to(path)


def _made(make: Callable[[Path], Any], folder: Path, ending: str) -> str:
    path = folder / f"it{ending}"
    make(path)
    return str(path)


def _under_a_file(folder: Path, ending: str, name: str = "it") -> str:
    (folder / "file").write_text("x")
    return str(folder / "file" / f"{name}{ending}")


# Paths that nothing can be read from and nothing written to, by what they are: made in a folder, with an ending.
HOSTILE: dict[str, Callable[[Path, str], str]] = {
    "circle of links": partial(_made, _circle),
    "link to nothing": partial(_made, lambda path: path.symlink_to("nowhere")),
    "under a file": _under_a_file,
    "under a circle": lambda folder, ending: _made(_circle, folder, "") + f"/it{ending}",
    "name of 300": lambda folder, ending: str(folder / ("x" * 300 + ending)),
    "path of 5,000": lambda folder, ending: str(folder) + "/x" * 2500 + ending,
    "null byte": lambda folder, ending: f"{folder}/a\0b{ending}",
    "pipe": partial(_made, _pipe),
    "socket": partial(_made, _socket),
    "link to a device": partial(_made, lambda path: path.symlink_to("/dev/zero")),
    "address": lambda folder, ending: f"https://example.org/it{ending}",
    "nobody's home": lambda folder, ending: f"~nobody-of-that-name/it{ending}",
    "empty": lambda folder, ending: "",
    "in proc": lambda folder, ending: f"/proc/1/it{ending}",
    "control characters": partial(_under_a_file, name="\x1b[2J\r\n[red]it"),
    "no Unicode": partial(_under_a_file, name="\udcff\udcfe"),
}
# A folder where a file should be, and the reverse.
FOLDER: Callable[[Path, str], str] = partial(_made, lambda path: path.mkdir())
FILE: Callable[[Path, str], str] = partial(_made, lambda path: path.write_text("x"))


def verbs(made: Bench) -> dict[str, tuple[Callable[[str], list[Any]], str, bool]]:
    """For each place of a path on the command line: the words, the ending it needs, and whether it names a folder."""
    run, text, out = made.run, "w20 w21", made.folder / "new"
    page = [run, "--page"]
    return {
        "train --out": (lambda path: made.train(path), "", True),
        "train --data": (lambda path: made.train(out, data=path), ".jsonl", False),
        "train --task": (lambda path: made.train(out, task=path), ".yaml", False),
        "train --init-from": (lambda path: made.train(out, init_from=path), "", True),
        "train --backbone": (lambda path: made.train(out, backbone=path), "", True),
        "train --set init_from": (lambda path: made.train(out, set=f"init_from={path}"), "", True),
        "select --out": (lambda path: ["select", *made.train(path)[1:]], "", True),
        "predict RUN": (lambda path: ["predict", path, text], "", True),
        "predict --file": (lambda path: ["predict", run, "--file", path], ".csv", False),
        "predict --backbone": (lambda path: ["predict", run, text, "--backbone", path], "", True),
        "evaluate RUN": (lambda path: ["evaluate", path, "--data", made.rows], "", True),
        "evaluate --data": (lambda path: ["evaluate", run, "--task", made.task, "--data", path], ".tsv", False),
        "evaluate --task": (lambda path: ["evaluate", run, "--task", path, "--data", made.rows], ".yml", False),
        "ensemble RUN": (lambda path: ["ensemble", run, path, "--task", made.task, "--data", made.rows], "", True),
        "transfer RUN": (lambda path: ["transfer", path, "--task", made.task, "--data", made.rows], "", True),
        "transfer --data": (lambda path: ["transfer", run, "--task", made.task, "--data", path], ".parquet", False),
        "transfer --source-data": (
            lambda path: ["transfer", run, "--task", made.task, "--data", made.rows, "--source-data", path],
            ".jsonl",
            False,
        ),
        "discretise RUN": (lambda path: ["discretise", path, "--data", made.rows], "", True),
        "explain nearest RUN": (lambda path: ["explain", "nearest", path], "", True),
        "explain nearest --page": (lambda path: ["explain", "nearest", *page, path], ".html", False),
        "explain layers RUN": (lambda path: ["explain", "layers", path], "", True),
        "explain similarity RUN": (lambda path: ["explain", "similarity", run, path], "", True),
        "explain similarity --page": (lambda path: ["explain", "similarity", run, *page, path], ".html", False),
        "adapt --text": (
            lambda path: ["adapt", "--backbone", made.backbone, "--text", path, "--out", out],
            ".txt",
            False,
        ),
        "adapt --out": (
            lambda path: ["adapt", "--backbone", made.backbone, "--text", made.rows, "--out", path],
            "",
            True,
        ),
        "methods --backbone": (lambda path: ["methods", "--backbone", path], "", True),
        "tasks NAME": (lambda path: ["tasks", path], ".yaml", False),
    }


def calls(made: Bench) -> dict[str, tuple[Callable[[str], Any], str, bool]]:
    """The same for Python."""
    from softprompt.compare.layers import select_layers
    from softprompt.explain.similarity import similarity_of
    from softprompt.pages.shell import write_page
    from softprompt.training.adaptation.texts import read_texts
    from softprompt.training.run import open_run, train

    small, words = model("llama"), tokenizer()
    task = sp.Task.load(made.task, data=made.rows)
    prompt = sp.load(made.run / "prompt", small, words)
    steps = {"max_steps": 1, "progress": False}
    return {
        "Task.load": (lambda path: sp.Task.load(path), ".yaml", False),
        "Task.load data": (lambda path: sp.Task.load(made.task, data=path), ".jsonl", False),
        "with_data": (lambda path: task.with_data(path), ".tsv", False),
        "rows_from": (lambda path: task.rows_from(path), ".csv", False),
        "train output": (lambda path: train(small, words, task, "prompt_tuning", output=path, **steps), "", True),
        "train init_from": (
            lambda path: train(
                small,
                words,
                task,
                "prompt_tuning",
                output=made.folder / "new",
                init_from=path,
                learning_rate=1,
                **steps,
            ),
            "",
            True,
        ),
        "select_layers output": (lambda path: select_layers(small, words, task, "spt", output=path, **steps), "", True),
        "open_run": (lambda path: open_run(path, small, words), "", True),
        "load": (lambda path: sp.load(path, small, words), "", True),
        "save": (lambda path: sp.save(prompt, path), "", True),
        "load_backbone": (lambda path: sp.load_backbone(path), "", True),
        "read_texts": (lambda path: read_texts(path), ".txt", False),
        "similarity_of": (lambda path: similarity_of([made.run, path]), "", True),
        "write_page": (lambda path: write_page(path, "title", [], []), ".html", False),
    }


@contextmanager
def place() -> Iterator[Path]:
    """A folder for hostile things, with something in it that must stay."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "keep").write_text("kept")
        yield folder


def contents(folder: Path) -> dict[str, str]:
    """Everything below a folder, files by their hash."""
    found = {}
    for path in sorted(folder.rglob("*")):
        plain = path.is_file() and not path.is_symlink()
        found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if plain else "-"
    return found


def hostile(is_folder: bool) -> dict[str, Callable[[Path, str], str]]:
    """The paths to try where a folder or a file is meant."""
    return {**HOSTILE, "file for a folder": FILE} if is_folder else {**HOSTILE, "folder for a file": FOLDER}


def try_verb(made: Bench, verb: str, kind: str) -> tuple[Told, bool]:
    """A verb with a path of a kind; whether all that lay on the disk lies there still, and nothing else."""
    words, ending, is_folder = verbs(made)[verb]
    with place() as folder:
        path = hostile(is_folder)[kind](folder, ending)
        before = contents(folder), contents(made.folder)
        told = ask(*words(path))
        return told, before == (contents(folder), contents(made.folder))


def try_inside(made: Bench, name: str, verb: str) -> Told:
    """A verb on a copy of the run in which a file is a pipe."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        shutil.copytree(made.run, run)
        (run / name).unlink()
        os.mkfifo(run / name)
        own = ["--task", made.task, "--data", made.rows]
        asked = {
            "predict": ["predict", run, "w20 w21"],
            "evaluate": ["evaluate", run, *own],
            "resume": [*made.train(run), "--resume"],
        }
        return ask(*asked[verb])


def inside(made: Bench) -> list[str]:
    """The files of a run."""
    return sorted(str(path.relative_to(made.run)) for path in made.run.rglob("*.json"))


def try_call(
    made: Bench, call: Callable[[str], Any], ending: str, make: Callable[[Path, str], str]
) -> tuple[Any, float]:
    """A Python call with a hostile path: what it raised, and the seconds it computed."""
    with place() as folder:
        path = make(folder, ending)
        before, begun = contents(folder), time.process_time()
        try:
            with woken():
                call(path)
        except BaseException as error:
            found: Any = error
        else:
            found = None
        seconds = time.process_time() - begun
        return found if before == contents(folder) else RuntimeError("the folder changed"), seconds


def measure(tick: Callable[..., None]) -> dict[str, int]:
    """Every place of a path against every kind of path."""
    counts: Counter[str] = Counter(dict.fromkeys(_COUNTS, 0))
    with tempfile.TemporaryDirectory() as name:
        made = bench(Path(name))
        for verb, (_, _, is_folder) in verbs(made).items():
            for kind in hostile(is_folder):
                told, kept = try_verb(made, verb, kind)
                # An empty argument is no path where another thing may stand, and a name on the hub may be any.
                counts["paths given to verbs"] += 1
                counts["refused in one line"] += told.refused
                counts["tracebacks"] += told.raised is not None
                counts["over a second"] += told.seconds > SECONDS
                counts["folders changed"] += not kept
                tick()
        for call, ending, is_folder in calls(made).values():
            for make in hostile(is_folder).values():
                error, seconds = try_call(made, call, ending, make)
                counts["paths given to Python"] += 1
                counts["refused with SoftPromptError"] += isinstance(error, SoftPromptError)
                counts["tracebacks"] += error is not None and not isinstance(error, SoftPromptError)
                counts["over a second"] += seconds > SECONDS
                tick()
        for file in inside(made):
            for verb in ("predict", "evaluate", "resume"):
                told = try_inside(made, file, verb)
                counts["pipes in the place of a run's file"] += 1
                counts["tracebacks"] += told.raised is not None
                tick()
        counts.update(_without_rights(made))
    return dict(counts)


_COUNTS = (
    "paths given to verbs",
    "refused in one line",
    "paths given to Python",
    "refused with SoftPromptError",
    "pipes in the place of a run's file",
    "without rights",
    "without rights, refused",
    "tracebacks",
    "over a second",
    "folders changed",
)


def _without_rights(made: Bench) -> dict[str, int]:
    """The Python calls as a user who may neither read nor write what the paths name."""
    if os.geteuid() != 0:
        return {}
    ways = calls(made)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with tempfile.TemporaryDirectory() as name:
            closed = Path(name) / "closed"
            closed.mkdir(mode=0o700)
            os.setgid(65534)
            os.setuid(65534)
            refused = sum(_refuses(call, str(closed / f"it{ending}")) for call, ending, _ in ways.values())
            os.write(writing, bytes([refused]))
            os._exit(0)
    refused = os.read(reading, 1)[0]
    os.waitpid(child, 0)
    return {"without rights": len(ways), "without rights, refused": refused}


def _refuses(call: Callable[[str], Any], path: str) -> bool:
    try:
        call(path)
    except BaseException as error:
        return isinstance(error, SoftPromptError)
    return False
