"""The prompts of a folder by their names, looked at again and again while they come, change and go.

Each run or prompt folder that stands in it is one prompt, whose name is the folder's. A name is of one pattern, and
what it stands for lies inside the folder once links are followed: nothing that a request says is ever made a path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from softprompt.errors import SoftPromptError, shown
from softprompt.files.places import ADAPTER, ADAPTER_WEIGHTS, META, TENSORS, folder_of
from softprompt.guards.paths import entries, kind_of, unicode_path_of

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_FILES = (META, TENSORS, ADAPTER, ADAPTER_WEIGHTS)


@dataclass(frozen=True)
class Stored:
    """A prompt as it stands on the disk.

    Attributes:
        name: what requests call it.
        path: its folder, links followed.
        state: of its files the size and the time of their last change: another one, another prompt.
    """

    name: str
    path: Path
    state: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Look:
    """What a look at the folder found.

    Attributes:
        prompts: by name.
        faults: of what has no prompt to be served, a line each, by name.
    """

    prompts: Mapping[str, Stored]
    faults: Mapping[str, str]


def folder_of_prompts(given: str | Path) -> Path:
    """The folder that is served, links followed.

    Raises:
        SoftPromptError: it is no folder.
    """
    path = unicode_path_of(given, "--prompts")
    if not path.is_dir():
        there = kind_of(path) if path.exists() else "not there"
        raise SoftPromptError(f"--prompts {path} is {there}: name a folder of run or prompt folders")
    return path.resolve()


def look_at(root: Path) -> Look:
    """Find the prompts of a folder; hidden entries and plain files are passed over.

    Args:
        root: the folder, links followed.

    Raises:
        SoftPromptError: the folder itself cannot be read.
    """
    prompts: dict[str, Stored] = {}
    faults: dict[str, str] = {}
    for path in entries(root):
        if path.name.startswith(".") or not path.is_dir():
            continue
        try:
            prompts[path.name] = _stored(root, path)
        except SoftPromptError as error:
            faults[shown(path.name)] = str(error)
        except OSError as error:  # it went while it was looked at
            faults[shown(path.name)] = f"{path}: cannot be read ({error.strerror}); check the folder"
    return Look(prompts, faults)


def _stored(root: Path, path: Path) -> Stored:
    if not NAME.fullmatch(path.name):
        raise SoftPromptError(
            f"{path}: no name of a prompt: rename it, to at most 64 letters, digits, dots, dashes and underscores"
        )
    own = folder_of(path).resolve()
    if not own.is_relative_to(root):
        raise SoftPromptError(f"{path}: is a link that leads out of {root}: copy the folder there")
    stats = {name: (own / name).stat() for name in _FILES if (own / name).is_file()}
    if not stats:
        raise SoftPromptError(f"{path}: no prompt in it yet ({META} is missing): train one, or take the folder away")
    return Stored(path.name, own, tuple((name, one.st_size, one.st_mtime_ns) for name, one in stats.items()))
