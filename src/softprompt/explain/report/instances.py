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
from softprompt.readouts import Outcome
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
class Heard:
    """Rows that were answered, and what the prompt made of them on the way.

    Attributes:
        outcomes: the answers.
        vectors: by layer, -1 for the input, `(rows, P H)`; of a layer at which all rows have the same, none.
    """

    outcomes: list[Outcome]
    vectors: Mapping[int, Tensor]


def is_made_of_rows(prompt: Prompt) -> bool:
    """Whether a prompt's vectors may differ from row to row."""
    own = prompt.producer.footprint
    return not own.static and bool(own.count or own.prefix)


def answered_aloud(prompt: Prompt, rows: Sequence[Row], *, batch_size: int = 32, tick: Tick | None = None) -> Heard:
    """The answers to rows, as `inference.predict` gives them, and the vectors that the prompt makes in that same pass.

    Args:
        prompt: with a task, whose vectors are made of rows.
        rows: of the task. Where a row has several texts nothing says which one a picture should show: no vectors.
        batch_size: rows a forward pass.
        tick: told how many rows are done.
    """
    _, readout = prompt.asked()
    own = Overheard(prompt.producer)
    items, order = [readout.encode(row) for row in rows], list[int]()
    outcomes: dict[int, Outcome] = {}
    found: dict[int, list[Tensor]] = {}
    with attach(prompt.backbone, own) as prompted, evaluating(prompted, readout), torch.inference_mode():
        for chosen, batch in batches(items, readout.collate, batch_size, prompted, tick):
            own.heard.clear()
            outcomes |= dict(zip(chosen, readout.answer(prompted, batch, None), strict=True))
            order += chosen
            for layer, made in own.heard.items():
                if len(made[-1]) == len(chosen):
                    found.setdefault(layer, []).append(made[-1])
    several = any(len(item.texts) != 1 for item in items)
    return Heard([outcomes[place] for place in range(len(rows))], {} if several else _of_text(found, order))


def _of_text(found: Mapping[int, Sequence[Tensor]], order: Sequence[int]) -> dict[int, Tensor]:
    """The vectors in the order of the rows, of layers that have them for each and not the same for all."""
    back = torch.tensor(order).argsort()
    whole = {layer: torch.cat(list(parts)) for layer, parts in found.items() if sum(map(len, parts)) == len(order)}
    return {layer: one[back] for layer, one in sorted(whole.items()) if float(one.std(0).max()) > 1e-6}


def components(vectors: Tensor) -> tuple[Tensor, tuple[float, float]]:
    """The first two principal components `(n, 2)` of vectors `(n, D)`, and their shares of the variance."""
    centred = vectors.double() - vectors.double().mean(0)
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    shares = s.square() / s.square().sum().clamp(min=1e-30)
    first = (u * s)[:, :2]
    if first.shape[1] < 2:
        first, shares = torch.nn.functional.pad(first, (0, 1)), torch.nn.functional.pad(shares, (0, 1))
    return first, (float(shares[0]), float(shares[1]))


def instance_figures(vectors: Mapping[int, Tensor], labels: Sequence[str]) -> list[Figure]:
    """The lowest, the middle and the highest place at which the prompt is made of the text.

    Args:
        vectors: of rows, as `answered_aloud` gives them.
        labels: what each row is coloured by.
    """
    if len(labels) < 3 or not vectors:
        return []
    places = list(vectors)
    shown = dict.fromkeys((places[0], places[len(places) // 2], places[-1]))
    return [_figure(layer, vectors[layer], labels) for layer in shown]


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
