"""Where what is computed once a row is kept on the disk: with a run, or with all cells of a table.

A run's own files serve a training that is stopped and goes on, and go with the end of the run. Cells that lie in one
folder look at the same rows time and again: those with a head alone at the same test rows, those of one seed at the
same training rows. What computes on a GPU, or on several ranks, keeps nothing in files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import torch
from torch import Tensor, nn

from softprompt.attached.model import PromptedModel
from softprompt.backbones.arithmetic import this_machine
from softprompt.backbones.bare import bare
from softprompt.backbones.compat import attention_name
from softprompt.backbones.fingerprint import exact_numbers
from softprompt.backbones.resting import device_of
from softprompt.backbones.sharding import is_split
from softprompt.files.kept import KeptFiles, key_of
from softprompt.ranks import here
from softprompt.readouts import Batch
from softprompt.readouts.head import Head
from softprompt.sites.kept_room import Room
from softprompt.training.measure import versions

FOLDER = ".kept"
_SHARED: ContextVar[Path | None] = ContextVar("softprompt_kept_files", default=None)


@contextmanager
def sharing_kept(folder: Path) -> Iterator[None]:
    """Let the trainings of the block keep their files together, and answer test rows out of them, too.

    Args:
        folder: that holds the runs; `forget_kept` is told of it in the end.
    """
    token = _SHARED.set(folder / FOLDER)
    try:
        yield
    finally:
        _SHARED.reset(token)


def room_of(run: Path, prompted: PromptedModel) -> Room:
    """Room for what a training computes once.

    Args:
        run: its folder.
        prompted: the attached model.
    """
    return _room(_SHARED.get() or run / FOLDER, prompted)


def forget_kept(folder: Path) -> None:
    """Remove the files of a run that has ended, or those of all runs of a folder."""
    KeptFiles(folder / FOLDER).forget()


@contextmanager
def sharing_features(prompted: PromptedModel, readout: nn.Module) -> Iterator[None]:
    """Let a head read what runs share of the rows of the block, where none of it hangs on what was trained."""
    folder = _SHARED.get()
    trained = any(one.requires_grad for one in prompted.prompts.parameters())
    if folder is None or trained or not isinstance(readout, Head):
        yield
        return
    room = _room(folder, prompted)
    with readout.looking_up(lambda batch: kept_features(room, prompted, readout, batch)):
        yield


def kept_features(room: Room, prompted: PromptedModel, head: Head, batch: Batch, prompts: str | None = None) -> Tensor:
    """The pooled states of a batch, `(sequences, H)`, found or computed and kept."""
    key = room.key("features", type(head).__qualname__, head.pooling, frozen_part(prompted), prompts, numbers_of(batch))
    found = room.find(key)
    if found is not None:
        return found[0]
    rows = head.pooled(prompted, batch, prompts)
    kept = room.keep(key, [rows])
    return rows if kept is None else kept[0]


def _room(folder: Path, prompted: PromptedModel) -> Room:
    alone = is_split(prompted.backbone) or device_of(prompted.backbone).type != "cpu" or here().count > 1
    files = None if alone else KeptFiles(folder)
    return Room(files, scope=lambda: _all_that_counts(prompted))


def numbers_of(batch: Batch) -> dict[str, Tensor]:
    """What a model is asked of a batch."""
    return {name: value for name, value in batch.items() if isinstance(value, Tensor)}


def frozen_part(prompted: PromptedModel) -> str:
    """A sum over what of attached prompts does not train, and over where it stands."""
    parts = []
    for one in prompted.prompts:
        trained = {name for name, value in one.named_parameters() if value.requires_grad}
        numbers = {name: value for name, value in one.state_dict().items() if name not in trained}
        parts.append((type(one).__module__, type(one).__qualname__, str(one.footprint), numbers))
    return key_of(parts)


def _all_that_counts(prompted: PromptedModel) -> str:
    """What states of a frozen model depend on besides the rows: its weights, its settings, and what computes them."""
    model = bare(prompted.backbone)
    settings = str(sorted(model.config.to_dict().items()))
    ways = attention_name(model.config), str(next(model.parameters()).dtype)
    machine = this_machine(device_of(model)).model_dump_json()
    deterministic = torch.are_deterministic_algorithms_enabled()
    return key_of(exact_numbers(model), type(model).__qualname__, settings, ways, machine, versions(), deterministic)
