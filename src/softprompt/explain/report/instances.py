r"""Prompts that are made from each text, in two dimensions: principal components of what stands in the slots.

For n rows the vectors x_1..x_n that a prompt puts at its slots before a layer (all slots of a row joined), centred,

    X = U S V^T,   the picture shows (U S)_{i,1} and (U S)_{i,2},   share of the variance  S_k^2 / sum_j S_j^2

K. Pearson, "On lines and planes of closest fit to systems of points in space", 1901.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from softprompt.attached.attach import attach
from softprompt.inference.batches import Tick, batches
from softprompt.pages.marks import SERIES
from softprompt.pages.parts import Figure
from softprompt.pages.plane import Plane, Series, plane
from softprompt.sites.modes import evaluating
from softprompt.sites.producer import Producer, View
from softprompt.sites.wrapped import WrappedProducer
from softprompt.storage.prompt import Prompt
from softprompt.tasks import Row

INPUT = -1  # stands for the input, below layer 0


class Overheard(WrappedProducer):
    """A prompt whose vectors are kept as they are made: of the input, and before each of its layers."""

    def __init__(self, own: Producer) -> None:
        """See the class."""
        super().__init__(own)
        self.heard: dict[int, list[Tensor]] = {}

    def embed(self, view: View) -> Tensor | None:
        """As the prompt's own."""
        return self._kept(INPUT, self.inner.embed(view))

    def rewrite(self, layer: int, view: View) -> Tensor:
        """As the prompt's own."""
        made = self.inner.rewrite(layer, view)
        self._kept(layer, made)
        return made

    def _kept(self, layer: int, made: Tensor | None) -> Tensor | None:
        """Keep vectors that differ from unit to unit, `(U, P, H)`."""
        if made is not None and made.ndim == 3:
            self.heard.setdefault(layer, []).append(made.detach().float().cpu().flatten(1))
        return made


@dataclass(frozen=True)
class Instances:
    """The vectors of rows.

    Attributes:
        vectors: by layer, -1 for the input, `(rows, P H)`; of a layer that all rows have the same vectors at, none.
        labels: of the rows.
    """

    vectors: Mapping[int, Tensor]
    labels: tuple[str, ...]


def instances_of(
    prompt: Prompt, rows: Sequence[Row], labels: Sequence[str], *, batch_size: int = 32, tick: Tick | None = None
) -> Instances:
    """The vectors that a prompt makes of rows; none of a prompt that is the same for each.

    Args:
        prompt: with a task.
        rows: of the task.
        labels: what each is coloured by.
        batch_size: rows a forward pass.
        tick: told how many rows are done.
    """
    assert prompt.readout is not None
    own = Overheard(prompt.producer)
    items, order = [prompt.readout.encode(row) for row in rows], list[int]()
    found: dict[int, list[Tensor]] = {}
    if any(len(item.texts) != 1 for item in items) or prompt.producer.footprint.static:
        return Instances({}, tuple(labels))  # of a row of several texts nothing says which one a picture should show
    with attach(prompt.backbone, own) as prompted, evaluating(prompted, prompt.readout), torch.inference_mode():
        for chosen, batch in batches(items, prompt.readout.collate, batch_size, prompted, tick):
            own.heard.clear()
            prompt.readout.answer(prompted, batch, None)
            order += chosen
            for layer, made in own.heard.items():
                if len(made[-1]) == len(chosen):
                    found.setdefault(layer, []).append(made[-1])
    back = torch.tensor(order).argsort()
    whole = {layer: torch.cat(parts) for layer, parts in found.items() if sum(map(len, parts)) == len(rows)}
    made_of_text = {layer: one[back] for layer, one in sorted(whole.items()) if float(one.std(0).max()) > 1e-6}
    return Instances(made_of_text, tuple(labels))


def components(vectors: Tensor) -> tuple[Tensor, tuple[float, float]]:
    """The first two principal components `(n, 2)` of vectors `(n, D)`, and their shares of the variance."""
    centred = vectors.double() - vectors.double().mean(0)
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    shares = s.square() / s.square().sum().clamp(min=1e-30)
    first = (u * s)[:, :2]
    if first.shape[1] < 2:
        first, shares = torch.nn.functional.pad(first, (0, 1)), torch.nn.functional.pad(shares, (0, 1))
    return first, (float(shares[0]), float(shares[1]))


def instance_figures(found: Instances) -> list[Figure]:
    """The lowest, the middle and the highest place at which the prompt is made of the text."""
    if len(found.labels) < 3 or not found.vectors:
        return []
    places = list(found.vectors)
    shown = dict.fromkeys((places[0], places[len(places) // 2], places[-1]))
    return [_figure(layer, found.vectors[layer], found.labels) for layer in shown]


def _figure(layer: int, vectors: Tensor, labels: Sequence[str]) -> Figure:
    points, (first, second) = components(vectors)
    pairs = [(float(x), float(y)) for x, y in points]
    often = sorted(set(labels), key=lambda label: -labels.count(label))
    names = often[: SERIES - 1] if len(often) > SERIES else often
    series = [
        Series(name, tuple(pair for pair, label in zip(pairs, labels, strict=True) if label == name), joined=False)
        for name in sorted(names)
    ]
    others = tuple(pair for pair, label in zip(pairs, labels, strict=True) if label not in names)
    series += [Series("other labels", others, joined=False)] if others else []
    where = "in the input" if layer == INPUT else f"before layer {layer}"
    caption = (
        f"Each mark is a row: the vectors that the prompt makes of its text {where}, in their first two principal "
        f"components, coloured by the right label. {len(labels)} rows of {vectors.shape[1]:,} numbers each; labels "
        "that lie apart here are told apart by the prompt itself."
    )
    axes = Plane(f"component 1, {first:.0%} of the variance", f"component 2, {second:.0%}")
    return plane(f"Prompts of the rows {where}", caption, series, axes)
