"""`rows.safetensors` of a prompt folder: which rows the prompt was trained and chosen on, as hashes of their texts.

Two sorted tables of 64-bit integers, `train` and `validation`: 8 bytes a text. How the rows were divided, and how many
hashes there are, stands in `prompt.json` under `rows`.
"""

from __future__ import annotations

from pathlib import Path

import torch

from softprompt.errors import SoftPromptError
from softprompt.files.forms import TensorForm, check_forms, read_forms
from softprompt.files.places import META
from softprompt.files.tensors import read_tensors, write_tensors
from softprompt.files.written import check_written
from softprompt.storage.record import read_description
from softprompt.tasks.seen import Division, SeenRows

SEEN = "rows.safetensors"
_PARTS = ("train", "validation")
_MEND = "copy the whole prompt again"


def write_seen(folder: Path, seen: SeenRows) -> None:
    """Write the hashes; nothing for a prompt that does not know its rows."""
    if seen.division is not None:
        write_tensors(folder / SEEN, {name: torch.tensor(sorted(getattr(seen, name))).long() for name in _PARTS})


def read_seen(folder: Path, division: Division | None) -> SeenRows:
    """Read the hashes.

    Args:
        folder: of the prompt.
        division: what `prompt.json` holds under `rows`; None in prompts of earlier versions.

    Raises:
        SoftPromptError: one of the two is missing or damaged, or they do not belong together.
    """
    path = folder / SEEN
    if division is None:
        if path.exists():
            raise SoftPromptError(f"{path}: {META} has no 'rows' that belong to it: {_MEND}")
        return SeenRows()
    if not path.is_file():
        raise SoftPromptError(f"{path}: no such file, but {META} says that rows were recorded: {_MEND}")
    check_forms(path, read_forms(path), {name: TensorForm(("I64",), (getattr(division, name),)) for name in _PARTS})
    tensors = read_tensors(path)
    for name, hashes in tensors.items():
        if bool((hashes[1:] <= hashes[:-1]).any()):
            raise SoftPromptError(f"{path}: {name!r} is not sorted, so the file is damaged: {_MEND}")
    return SeenRows(division, *(frozenset(tensors[name].tolist()) for name in _PARTS))


def seen_of(folder: Path) -> SeenRows:
    """What the prompt in a folder has seen, without loading it; nothing is known where `prompt.json` is absent.

    Raises:
        SoftPromptError: a damaged file.
    """
    if not (folder / META).is_file():
        return SeenRows()
    found = read_seen(folder, read_description(folder).record.rows)
    check_written(folder)
    return found
