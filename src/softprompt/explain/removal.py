"""What a virtual token or a layer does: a prompt's loss and metric on labelled rows without it, beside those of all.

Of P virtual tokens one is taken out of the sequence, and the others stand where they stood: P + 1 passes over the rows.
Of a prompt over layers one layer goes on as if its gate were shut (`methods.parts.gated`): L + 1 passes. Parts work
together, so the changes need not add up; one that another repeats may be missed by nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from softprompt.attached.attach import attach
from softprompt.errors import SoftPromptError
from softprompt.evaluation.score import Scores, figure, loss_of, metrics_of
from softprompt.inference.batches import Tick
from softprompt.methods.parts.gated import why_ungated
from softprompt.readouts import Readout
from softprompt.readouts.build import rebuilt
from softprompt.sites.footprint import Footprint
from softprompt.sites.producer import Producer, View
from softprompt.sites.wrapped import WrappedProducer
from softprompt.storage.prompt import Prompt
from softprompt.tasks import Row, Task
from softprompt.tasks.text.template import Part, PromptSlot, Template


@dataclass(frozen=True)
class Effect:
    """What changes where one virtual token is removed.

    Attributes:
        loss: of the mean loss, above zero where the token helps; None where the readout has none.
        metric: of the task's main metric, below zero where the token helps.
    """

    loss: float | None
    metric: float


@dataclass(frozen=True)
class Removal:
    """On what the effects were measured.

    Attributes:
        metric: the task's main metric.
        rows: how many.
        loss: with all virtual tokens; None where the readout has none.
        value: the metric with all of them.
    """

    metric: str
    rows: int
    loss: float | None
    value: float


def removable(own: Producer) -> bool:
    """Whether a virtual token of a prompt can be removed alone: it has no part in layers, nor in a template's words."""
    return not own.footprint.hidden_layers and not own.footprint.pool


class WithoutToken(WrappedProducer):
    """A prompt without one of its virtual tokens.

    Args:
        own: a prompt that works at no layer of its own.
        rank: of the token, from 0.
    """

    def __init__(self, own: Producer, rank: int) -> None:
        """See the class.

        Raises:
            SoftPromptError: the prompt works at layers, where a token is more than its embedding.
        """
        super().__init__(own)
        whole = own.footprint
        if not removable(own):
            raise SoftPromptError("a token of a prompt over layers, or of a template's words, cannot be removed alone")
        self.rank = rank
        self.part = replace(whole, count=whole.count - 1, around=_fewer(whole.around, rank))

    @property
    def footprint(self) -> Footprint:
        """The prompt's own with one virtual token less."""
        return self.part

    def embed(self, view: View) -> Tensor | None:
        """The others' embeddings, `(P - 1, E)` or `(U, P - 1, E)`."""
        made = self.inner.embed(view)
        return None if made is None else torch.cat([made[..., : self.rank, :], made[..., self.rank + 1 :, :]], dim=-2)


class WithoutLayer(WrappedProducer):
    """A prompt without one of its layers: its slots go on as the layer below made them, its prefix is not seen there.

    Args:
        own: a prompt over layers.
        layer: that is left out, from 0.
        layers: of the backbone.
    """

    def __init__(self, own: Producer, layer: int, layers: int) -> None:
        """See the class."""
        super().__init__(own)
        self.layer = layer
        self.values = torch.ones(layers).index_fill(0, torch.tensor([layer]), 0.0)

    def rewrite(self, layer: int, view: View) -> Tensor:
        """The slots as the layer below made them, `(U, P, H)`; at other layers as the prompt's own."""
        return view.at_slots if layer == self.layer else self.inner.rewrite(layer, view)

    def prefix_values(self) -> Tensor:
        """1 of each layer but 0 of the one that is left out, `(L,)`."""
        device = next((one.device for one in self.inner.parameters()), None)
        return self.values.to(device)


def layers_of(own: Producer, layers: int) -> list[int]:
    """The layers that can be left out, one at a time; none of a prompt that works at no layer, or not there alone.

    Args:
        own: the prompt.
        layers: of the backbone.
    """
    whole = own.footprint
    if why_ungated(own) is not None or whole.pool:
        return []
    return sorted(whole.hidden_layers) if whole.hidden_layers else list(range(layers))


def layer_effects(
    prompt: Prompt, rows: Sequence[Row], *, batch_size: int = 32, tick: Tick | None = None
) -> tuple[Removal, dict[int, Effect]]:
    """Leave out each layer of a prompt over layers in turn.

    Args:
        prompt: with a task, that works at layers which can be left out (`layers_of`).
        rows: labelled rows of the task.
        batch_size: rows a forward pass.
        tick: told how many rows are done, of `(layers + 1) * len(rows)`.
    """
    assert prompt.task is not None
    assert prompt.readout is not None
    total, metric, found = prompt.backbone.anatomy.num_layers, prompt.task.metric, dict[int, Effect]()
    with prompt.attached() as prompted:
        whole = metrics_of(prompted, prompt.readout, prompt.task, rows, batch_size=batch_size, tick=tick)
    for layer in layers_of(prompt.producer, total):
        with attach(prompt.backbone, WithoutLayer(prompt.producer, layer, total)) as prompted:
            part = metrics_of(prompted, prompt.readout, prompt.task, rows, batch_size=batch_size, tick=tick)
        found[layer] = Effect(_change(whole, part), figure(part, metric) - figure(whole, metric))
    return Removal(metric, len(rows), loss_of(whole), figure(whole, metric)), found


def effects_of(
    prompt: Prompt, rows: Sequence[Row], *, batch_size: int = 32, tick: Tick | None = None
) -> tuple[Removal, tuple[Effect, ...]]:
    """Remove each virtual token in turn.

    Args:
        prompt: with a task, whose virtual tokens stand in the input.
        rows: labelled rows of the task.
        batch_size: rows a forward pass.
        tick: told how many rows are done, of `(P + 1) * len(rows)`.

    Raises:
        SoftPromptError: no rows, a prompt without a task, or one that works at layers.
    """
    if prompt.task is None or prompt.readout is None or not rows:
        raise SoftPromptError("the effect of a token is measured on labelled rows of the prompt's task: give both")
    count, metric = prompt.producer.footprint.count, prompt.task.metric
    with prompt.attached() as prompted:
        whole = metrics_of(prompted, prompt.readout, prompt.task, rows, batch_size=batch_size, tick=tick)
    found = [_scored_without(prompt, rank, rows, batch_size, tick) for rank in range(count)]
    effects = tuple(Effect(_change(whole, one), figure(one, metric) - figure(whole, metric)) for one in found)
    return Removal(metric, len(rows), loss_of(whole), figure(whole, metric)), effects


def _scored_without(prompt: Prompt, rank: int, rows: Sequence[Row], batch_size: int, tick: Tick | None) -> Scores:
    part = WithoutToken(prompt.producer, rank)
    readout = _readout(prompt, part, rank)
    assert prompt.task is not None
    with attach(prompt.backbone, part) as prompted:
        return metrics_of(prompted, readout, prompt.task, rows, batch_size=batch_size, tick=tick)


def _readout(prompt: Prompt, part: WithoutToken, rank: int) -> Readout:
    """The prompt's readout, whose templates have a place less."""
    assert prompt.task is not None
    assert prompt.readout is not None
    assert prompt.readout_spec is not None
    task = _with_place_less(prompt.task, rank, part.part.count)
    return rebuilt(prompt.readout, task, prompt.backbone, part, prompt.readout_spec)


def _with_place_less(task: Task, rank: int, left: int) -> Task:
    """The task, its templates without the place of the token where they count their places."""
    templates = {name: _less(source, rank, left) for name, source in task.templates.items()}
    return task.model_copy(update={"template": _less(task.template, rank, left), "templates": templates})


def _less(source: str, rank: int, left: int) -> str:
    parts: list[Part] = []
    for part in Template.parse(source).parts:
        if isinstance(part, PromptSlot):
            size = left + 1 if part.count is None else part.count
            here, rank = 0 <= rank < size, rank - size
            if size - here == 0:
                continue
            parts.append(PromptSlot(size - here))
        else:
            parts.append(part)
    return str(Template(tuple(parts)))


def _fewer(around: Sequence[int], rank: int) -> tuple[int, ...]:
    """The counts of places around text and answer, one less where the token stood."""
    found = []
    for size in around:
        found.append(size - (0 <= rank < size))
        rank -= size
    return tuple(found)


def _change(whole: Scores, part: Scores) -> float | None:
    before, after = loss_of(whole), loss_of(part)
    return None if before is None or after is None else after - before
