"""Whether a step fits into the memory that is free, found out before the first one is taken.

What a step keeps for its backward pass is measured: the longest row goes forward, then it and the shortest, so that
there is padding as in a batch (where none would run, another long one), and every tensor that autograd saves is counted
once, by its storage, the backbone's weights apart. Of these

    kept(rows) = kept(1) + (rows - 1) (kept(2) - kept(1)),

as often as a step passes forward before it goes back (a search compares networks), to which come the gradient, two
moments and the best values of what is trained. A step needs more than that for a moment: on MiniLM and Gemma 3 270M it
took 1.3 to 1.9 times what it kept. Where half as much again is not free, layers run once more in the backward pass
instead of being kept; where even what must be kept is not free, nothing begins.
(Our choice. Nothing is foreseen where several ranks train.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from softprompt.attached.lowered import meet_in_fronts
from softprompt.backbones.freed import give_back
from softprompt.backbones.resting import device_of
from softprompt.errors import SoftPromptError
from softprompt.inference.batches import to_device
from softprompt.inference.neighbours import begin_alike
from softprompt.inference.prefilled import beginning_above
from softprompt.ranks import here
from softprompt.readouts import Item
from softprompt.sites.prefix_sharing import why_rows_stay_apart
from softprompt.training.fitting.frozen_states import PooledItem
from softprompt.training.fitting.stage_spec import Stage
from softprompt.training.fitting.task_model import TaskModel
from softprompt.training.measure import FreeMemory, free_memory

_ROOM = 1.5  # of what a step keeps, with what it needs besides for a moment
# Of a batch that runs as one row with a tenth of it left out, to one that is padded (measured: up to that).
_AS_ONE = {"causal": 1.15, "encoder": 1.3}
_COPIES = 4  # of what is trained: gradient, two moments, the best values


@dataclass(frozen=True)
class StepMemory:
    """What a step keeps, bytes.

    Attributes:
        rows: a batch.
        columns: of the longest row.
        kept: until the backward pass has used it.
        again: the same where layers run again.
        free: what the machine has left; None where it cannot be told.
    """

    rows: int
    columns: int
    kept: int
    again: int
    free: FreeMemory | None

    @property
    def is_tight(self) -> bool:
        """Whether a step may not fit unless layers run again."""
        return self.free is not None and self.kept * _ROOM > self.free.at_once

    def check(self, *, again: bool) -> None:
        """See that a step can be.

        Args:
            again: whether layers run again.

        Raises:
            SoftPromptError: it cannot.
        """
        least = self.again if again else self.kept
        if self.free is not None and least > self.free.with_disk:
            raise SoftPromptError(
                f"a step of {self.rows} rows of up to {self.columns} tokens keeps {_told(least)} or more, and "
                f"{_told(self.free.with_disk)} of memory are free: take fewer rows at once (--batch-size, with "
                "--set accumulate for the same step), shorter ones (--max-length) or a smaller backbone"
            )

    def __str__(self) -> str:
        """For a reader."""
        free = "" if self.free is None else f", {_told(self.free.at_once)} are free"
        return f"memory: a step of {self.rows} rows of up to {self.columns} tokens keeps {_told(self.kept)}{free}"


def layers_run_again(stage: Stage, passes: int) -> bool:
    """Whether the layers of a stage's steps are run again instead of being kept: as asked, or because they must.

    Args:
        stage: that is ready for its first step.
        passes: forward passes of a step, of which all is kept until its backward pass.

    Raises:
        SoftPromptError: a step does not fit either way.
    """
    asked = stage.options.gradient_checkpointing
    found = step_memory(stage, passes)
    if found is None:
        return asked
    if stage.name is None:
        stage.show.say(f"  {found}")
    again = asked or (found.is_tight and _can_run_again(stage))
    found.check(again=again)
    if again and not asked:
        stage.show.say(
            f"  layers run again in the backward pass, so that a step keeps about {_told(found.again)}: "
            "--batch-size takes fewer rows at once"
        )
    return again


def step_memory(stage: Stage, passes: int = 1) -> StepMemory | None:
    """What a step of a stage keeps; None where nothing of it goes through the backbone, or ranks share it.

    Args:
        stage: that is ready for its first step.
        passes: forward passes of a step.
    """
    trained, longest = stage.trained, sorted(stage.items, key=lambda item: -item.length)
    if here().count > 1 or all(isinstance(item, PooledItem) for item in longest):
        return None
    rows, columns = min(stage.plan.batch_size, len(longest)), longest[0].length
    one = _saved(trained, longest[:1])
    states = passes * (one + (rows - 1) * _more(trained, longest, one))
    own = _COPIES * sum(part.nbytes for part in trained.parameters() if part.requires_grad)
    anatomy = trained.prompted.anatomy
    layers = max(len(anatomy.layers) + len(anatomy.decoder_layers), 1)
    entering = passes * rows * columns * anatomy.hidden_size * (layers - trained.prompted.first_layer)
    once = states // (layers * passes)  # one layer of one pass is back at a time
    again = min(states, entering * next(trained.prompted.backbone.parameters()).element_size() + once)
    device = device_of(trained.prompted.backbone)
    give_back(device)
    return StepMemory(rows, columns, own + states, own + again, free_memory(device))


def _more(trained: TaskModel, longest: Sequence[Item], one: int) -> int:
    """What one more row of the longest takes, given what a single one does.

    Rows that share nothing run as one only where a tenth of a batch is padding, so the second one is of about the
    length of the first, and the two run as they are; a batch that runs as one keeps a little more.
    """
    prompted, most = trained.prompted, longest[0].length
    beside, more = longest[-1], 1.0
    if len(prompted.names) == 1 and meet_in_fronts(prompted, 0):
        beside = next((item for item in longest if not begin_alike(longest[0], item)), beside)
    elif len(prompted.names) == 1 and why_rows_stay_apart(prompted.anatomy) is None:
        beside = next((item for item in longest if 0 < 10 * (most - item.length) < 2 * most), longest[:2][-1])
        more = _AS_ONE[prompted.anatomy.kind]
    return int(more * max(_saved(trained, [longest[0], beside]) - one, 0))


def _saved(trained: TaskModel, items: Sequence[Item]) -> int:
    """The bytes that autograd saves in a forward pass of some rows, the backbone's own weights apart."""
    prompted, found = trained.prompted, dict[int, int]()
    weights = {
        one.untyped_storage().data_ptr() for one in (*prompted.backbone.parameters(), *prompted.backbone.buffers())
    }

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with _as_in_a_step(trained, items), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = trained(to_device(trained.readout.collate(items, train=True), prompted))
    kept = sum(found.values())
    del loss  # until here nothing was freed, so no two storages had one address
    return kept


def _can_run_again(stage: Stage) -> bool:
    """Whether the family and the prompt let layers run again: one row is tried."""
    trained = stage.trained
    items = [min(stage.items, key=lambda item: item.length)]
    try:
        trained.prompted.activation_checkpointing_enable()
        _saved(trained, items)
    except (SoftPromptError, ValueError, AttributeError):
        return False
    finally:
        trained.prompted.activation_checkpointing_disable()
    return True


@contextmanager
def _as_in_a_step(trained: TaskModel, items: Sequence[Item]) -> Iterator[None]:
    """Modes and kept states as a step has them; afterwards modes and chance are as they were."""
    device = device_of(trained.prompted.backbone)
    devices = [] if device.type == "cpu" else [device]
    before = [(part, part.training) for part in trained.modules()]
    with torch.random.fork_rng(devices, **({"device_type": device.type} if devices else {})):
        trained.train()
        try:
            with beginning_above(trained.prompted, items):
                yield
        finally:
            for part, training in before:
                part.training = training


def _told(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
