"""The attention of one row, token by token: what CaPT's figures show (section 3.1, and S5 to S7 layer by layer)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from softprompt.errors import SoftPromptError
from softprompt.explain.anchors.columns import Structural
from softprompt.explain.anchors.looking import look
from softprompt.explain.anchors.measure import Columns, Sequences, Where, sides
from softprompt.explain.vectors import as_text
from softprompt.sites.asking import current
from softprompt.sites.forward_call import Call
from softprompt.storage.prompt import Prompt
from softprompt.tasks import Row

Kind = Literal["slot", "first", "structural", "text"]


@dataclass(frozen=True)
class Token:
    """A column of the body.

    Attributes:
        text: as it is shown.
        kind: what it counts as.
    """

    text: str
    kind: Kind


@dataclass(frozen=True)
class AttentionMap:
    """Attention among the columns of one row, averaged over layers and heads, or of one of them.

    Attributes:
        asking: the columns that ask, `Q` of them.
        asked: those that are asked, `K`: keys and values in front, then `asking`.
        weights: softmax weights, fp32, `(Q, K)`.
        scores: before the softmax, NaN where all layers and heads hide the pair.
        layer: the layer; None for all.
        head: the head; None for all.
    """

    asking: tuple[Token, ...]
    asked: tuple[Token, ...]
    weights: Tensor
    scores: Tensor
    layer: int | None
    head: int | None

    @property
    def averaged(self) -> str:
        """Which layers and heads it shows."""
        layer = "all layers" if self.layer is None else f"layer {self.layer}"
        return f"{layer}, {'all heads' if self.head is None else f'head {self.head}'}"

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON; None for a score that is hidden."""
        scores = [[None if one != one else one for one in row] for row in self.scores.tolist()]
        tokens = {
            name: [[one.text, one.kind] for one in side]
            for name, side in (("asking", self.asking), ("asked", self.asked))
        }
        return {**tokens, "layer": self.layer, "head": self.head, "weights": self.weights.tolist(), "scores": scores}


def attention_map(
    prompt: Prompt, row: Row, rule: Structural, *, layer: int | None = None, head: int | None = None
) -> AttentionMap:
    """The attention of one row in the body, with the prompt.

    Args:
        prompt: with a task.
        row: of the task.
        rule: which tokens are structural.
        layer: from 0; None averages all.
        head: from 0; None averages all.

    Raises:
        SoftPromptError: there is no such layer or head, or attention cannot be seen.
    """
    drawing = _Drawing(prompt, layer, head)
    look(prompt.backbone, (prompt.producer, prompt.asked()[1]), [row], drawing, rule)
    return drawing.done()


class _Drawing:
    """Sums up the maps of one row's first sequence; see `looking.SeesBatches`."""

    def __init__(self, prompt: Prompt, layer: int | None, head: int | None) -> None:
        self.where, self.tokenizer = Where(prompt.backbone.anatomy), prompt.tokenizer
        self.layer, self.head = layer, head
        depth = self.where.depth("body")
        if layer is not None and not 0 <= layer < depth:
            raise SoftPromptError(f"layer {layer}: the backbone has layers 0 to {depth - 1}: choose one of these")
        self.sequences = Sequences(torch.zeros(0, dtype=torch.long), ())
        self.tokens: tuple[tuple[Token, ...], tuple[Token, ...]] = ((), ())
        self.weights: list[Tensor] = []
        self.scores: list[Tensor] = []

    def begin(self, sequences: Sequences) -> None:
        self.sequences = sequences

    def __call__(self, module: nn.Module, weights: Tensor, scores: Tensor) -> None:
        place, layer = self.where.of(module)
        if place != "body" or (self.layer is not None and layer != self.layer):
            return
        asking, asked = sides(self.sequences, place, weights)
        rows, columns = (_shown(side) for side in (asking, asked))
        if self.head is not None and self.head >= weights.shape[1]:
            raise SoftPromptError(
                f"head {self.head}: a layer has heads 0 to {weights.shape[1] - 1}: choose one of these"
            )
        heads = slice(None) if self.head is None else slice(self.head, self.head + 1)
        front = weights.shape[3] - weights.shape[2]
        self.tokens = self._tokens(asking, rows, 0), self._tokens(asked, columns, front)
        self.weights.append(weights[0, heads][:, rows][:, :, columns].cpu())
        kept = scores[0, heads][:, rows][:, :, columns].cpu()
        self.scores.append(kept.masked_fill(kept.isinf(), torch.nan))

    def done(self) -> AttentionMap:
        """The means over what was seen."""
        weights, scores = torch.cat(self.weights), torch.cat(self.scores)
        return AttentionMap(*self.tokens, weights.mean(0), scores.nanmean(0), self.layer, self.head)

    def _tokens(self, side: Columns, columns: Tensor, front: int) -> tuple[Token, ...]:
        call = current()
        assert isinstance(call, Call)
        assert call.layout is not None
        ids, found, slots = call.layout.ids[0], [], 0
        for column in columns.tolist():
            if side.slot[0, column]:
                slots += 1
                found.append(Token(f"slot {slots}", "slot"))
                continue
            kind: Kind = "first" if side.first[0, column] else "structural" if side.structural[0, column] else "text"
            found.append(Token(as_text(self.tokenizer, int(ids[column - front])), kind))
        return tuple(found)


def _shown(side: Columns) -> Tensor:
    """The columns of the first sequence that are slots or text, `(n,)`."""
    return (side.slot | side.text)[0].nonzero()[:, 0]
