"""How many tokens a row may have where the user does not say: 256, or 512 where the task has longer rows.

512 is what the papers train with (CaPT, section S2; Lester et al. on T5); 256 keeps memory and time of short tasks what
they are, although a batch is only as long as its longest row: one row that is far out would make its batch so. More
than 512 is for the user to ask for. What is stored with a prompt is the number that was settled.
"""

from __future__ import annotations

from heapq import nlargest
from itertools import chain

import torch

from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError
from softprompt.methods.base import Method
from softprompt.readouts import Readout, ReadoutSpec, build_readout
from softprompt.readouts.settled import settled
from softprompt.storage.vectors import sketched
from softprompt.tasks import Row, Splits, Task
from softprompt.training.options import LONG, SHORT, TrainingOptions

_TRIED = 1000  # of the rows with the most bytes, our choice: a tokenizer takes some milliseconds for so many


def long_enough(
    spec: ReadoutSpec, options: TrainingOptions, backbone: Backbone, task: Task, method: Method, splits: Splits
) -> ReadoutSpec:
    """The specification with room for the task's longer rows, those to train, to choose and to test on.

    Args:
        spec: with the shorter length where the user named none.
        options: the user's.
        backbone: with its tokenizer; where it has no more positions, the shorter length stays.
        task: of the rows.
        method: whose virtual tokens count.
        splits: the rows.

    Raises:
        SoftPromptError: the readout cannot be built or settled; the message says why.
    """
    if options.max_length is not None:
        return spec
    producer = sketched(backbone, method)
    positions = backbone.anatomy.max_positions
    if positions is not None and positions - producer.footprint.prefix <= SHORT:
        return spec
    with torch.random.fork_rng(devices=[]):  # a head draws its first values
        readout = build_readout(task, backbone, producer, settled(spec, task, backbone))
    longest = nlargest(_TRIED, chain(splits.train, splits.validation, splits.test), key=_bytes)
    if not any(_too_long(readout, row) for row in longest):
        return spec
    return spec.model_copy(update={"max_length": LONG})


def told_length(spec: ReadoutSpec, options: TrainingOptions) -> list[str]:
    """One line that says that rows may have more tokens than is usual; none where they may not, or the user says it."""
    if options.max_length is not None or spec.max_length <= SHORT:
        return []
    return [
        f"max_length: {spec.max_length}, since there are rows of more than {SHORT} tokens; --max-length names another"
    ]


def _bytes(row: Row) -> int:
    """How long a row is, to find the longest: a letter of some scripts has three bytes, and a token or more."""
    return sum(len(text.encode("utf-8", "replace")) for text in (*row.fields.values(), *(row.choices or ())))


def _too_long(readout: Readout, row: Row) -> bool:
    try:
        return bool(readout.encode(row).lost)
    except SoftPromptError:  # the template alone, or an answer, does not fit; it is told where rows are encoded
        return True
