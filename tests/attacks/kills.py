"""Runs killed at every write, rename and sync of theirs, and at random moments; then the same run again.

A child process strikes itself down (SIGKILL) at the n-th such operation in its folder, which it counts by Python's
audit events. The same call as before must end in the same bytes as an undisturbed run, and leave no scrap.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import softprompt as sp
from softprompt.errors import SoftPromptError
from softprompt.files.scratch import sweep

from ..shared import adaptation
from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS
from ..shared.runs import run, task

TITLE = "runs killed while they write"
PROMISE = "the same command goes on and ends in the same bytes; an exchanged prompt is the old or the new one"
TESTS = ["tests/attacks/test_kills.py", "tests/training/test_resume.py"]

_EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.chmod"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT

Work = Callable[[Path], Any]


@dataclass(frozen=True)
class Killed:
    """What is attacked.

    Attributes:
        work: does it in a folder, from the start or where it was stopped.
        result: what has to come out of it, whatever happened on the way.
    """

    work: Work
    result: Callable[[Path], Any]


def training(method: str, **options: Any) -> Killed:
    """A run of a tiny model, started and resumed by the same call."""

    def work(folder: Path) -> None:
        resume = (folder / "run" / "run.json").is_file()
        run(folder, "llama", METHODS[method], data=_data(folder), resume=resume, **options)

    def result(folder: Path) -> Any:
        files = sorted(str(p.relative_to(folder)) for p in (folder / "run").rglob("*") if "/state/" not in str(p))
        metrics = sp.open_run(folder / "run", model("llama"), tokenizer()).metrics
        own = {key: metrics[key] for key in ("test", "validation", "history")}
        return files, (folder / "run" / "prompt" / "prompt.safetensors").read_bytes(), own, scraps(folder)

    return Killed(work, result)


def adapting() -> Killed:
    """An adaptation of a tiny encoder-decoder."""

    def work(folder: Path) -> None:
        source = folder.parent / "t5"
        if not source.is_dir():
            adaptation.folder_of("t5", source)
        adaptation.run(source, folder / "run", resume=True, keep_at=(4,))

    def result(folder: Path) -> Any:
        names = sorted(p.name for p in (folder / "run").iterdir())
        kept = (folder / "run" / "kept" / "step-4" / "model.safetensors").read_bytes()
        return names, adaptation.weights(folder / "run"), kept, scraps(folder)

    return Killed(work, result)


def saving(root: Path) -> Killed:
    """A prompt that takes the place of another, which `kept` put there."""
    run(root / "old", "llama", METHODS["prompt_tuning"], max_steps=1)
    new = run(root / "new", "llama", METHODS["deep_prompt"], max_steps=1).prompt

    def work(place: Path) -> None:
        sp.save(new, place / "kept")

    def result(place: Path) -> Any:
        return sp.load(place / "kept", model("llama"), tokenizer()).method.name, scraps(place)

    return Killed(work, result)


def kept(root: Path, place: Path) -> Path:
    """A folder with the old prompt in it."""
    shutil.copytree(root / "old" / "run" / "prompt", place / "kept")
    return place


def scraps(folder: Path) -> list[str]:
    """Hidden names that were left."""
    return sorted(path.name for path in folder.rglob(".*"))


def operations(killed: Killed, folder: Path) -> int:
    """How many writes, renames and syncs the work makes when nothing happens."""
    told = folder.with_suffix(".count")

    def counted() -> None:
        count = _arm(folder, 0)
        killed.work(folder)
        told.write_text(str(count()))

    assert _in_a_child(counted) == 0
    return int(told.read_text())


def struck(killed: Killed, folder: Path, at: int) -> bool:
    """Do the work in a child that dies at its n-th operation; whether it did."""

    def work() -> None:
        _arm(folder, at)
        killed.work(folder)

    return _in_a_child(work) == -signal.SIGKILL


def survives(killed: Killed, folder: Path, expected: Any) -> str | None:
    """Do the work again; what is wrong with what comes out of it."""
    try:
        killed.work(folder)
        found = killed.result(folder)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None if found == expected else "another result"


def measure(tick: Callable[..., None]) -> dict[str, int]:
    """Kill a plain run at every operation, others at every thirteenth, and all at random moments."""
    counts = {"kills at a write, rename or sync": 0, "kills at a random moment": 0, "second kills while resuming": 0}
    faults = {"other bytes, a scrap or a refusal": 0}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for label, killed in (
            ("fit", training("prompt_tuning", max_steps=6)),
            ("stages", training("xprompt", max_steps=4)),
            ("search", training("capt_learned", max_steps=4)),
            ("adapt", adapting()),
        ):
            whole = root / label / "whole"
            whole.mkdir(parents=True)
            total = operations(killed, whole)
            expected = killed.result(whole)
            chance = random.Random(7)
            for at in range(1, total + 1, 1 if label == "fit" else 13):
                folder = root / label / f"at-{at}"
                folder.mkdir()
                counts["kills at a write, rename or sync"] += struck(killed, folder, at)
                if at % 5 == 0:
                    counts["second kills while resuming"] += struck(killed, folder, chance.randint(1, 40))
                faults["other bytes, a scrap or a refusal"] += _told(survives(killed, folder, expected), label, at)
                shutil.rmtree(folder)
                tick()
            for number in range(5):
                folder = root / label / f"random-{number}"
                folder.mkdir()
                counts["kills at a random moment"] += _at_random(killed, folder, chance)
                faults["other bytes, a scrap or a refusal"] += _told(survives(killed, folder, expected), label, number)
                shutil.rmtree(folder)
                tick()
        exchanged = _exchanges(root / "exchange", tick)
    return {**counts, **exchanged, **faults}


def _exchanges(root: Path, tick: Callable[..., None]) -> dict[str, int]:
    """Kill a save at every operation: after a sweep the folder has to hold the old prompt or the new one, whole."""
    killed = saving(root)
    counts = {"kills while a prompt was exchanged": 0, "prompts lost": 0}
    for at in range(1, operations(killed, kept(root, root / "whole")) + 1):
        folder = kept(root, root / f"at-{at}")
        counts["kills while a prompt was exchanged"] += struck(killed, folder, at)
        sweep(folder)
        try:
            good = killed.result(folder)[0] in ("prompt_tuning", "deep_prompt")
        except SoftPromptError:
            good = False
        counts["prompts lost"] += _told(None if good and not scraps(folder) else "a prompt was lost", "exchange", at)
        tick()
    return counts


def _told(fault: str | None, label: str, at: int) -> int:
    if fault is not None:
        print(f"{label}, {at}: {fault}", file=sys.stderr)
    return int(fault is not None)


def _at_random(killed: Killed, folder: Path, chance: random.Random) -> bool:
    child = _child(lambda: killed.work(folder))
    time.sleep(chance.uniform(0.0, 1.0))
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def _arm(folder: Path, at: int) -> Callable[[], int]:
    """Die at the n-th operation in the folder; a function that tells how many there were."""
    seen = {"operations": 0}

    def strike() -> None:
        seen["operations"] += 1
        if seen["operations"] == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _EVENTS or not str(arguments[0]).startswith(str(folder)):
            return
        if event != "open" or (isinstance(arguments[2], int) and arguments[2] & _WRITING):
            strike()

    sys.addaudithook(hook)
    os.fsync = lambda handle: strike()  # a killed process loses nothing that it has written
    return lambda: seen["operations"]


def _in_a_child(work: Callable[[], None]) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(_child(work), 0)[1])


def _child(work: Callable[[], None]) -> int:
    """Fork: the child does the work and ends, and nothing of the parent's is torn down in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException as error:
        print(f"child: {type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(code)


def _data(folder: Path) -> Path:
    """Rows beside the folders that are attacked, so that they are not."""
    place = folder.parent / "data"
    if not (place / "rows.jsonl").is_file():
        task(place)
    return place
