r"""How much attention goes from where to where: the numbers behind CaPT's pictures.

Liu et al., "All You Need is One: Capsule Prompt Tuning with a Single Vector", NeurIPS 2025,
<https://arxiv.org/abs/2510.16670>, section 3.1 and S5 to S7, plot attention scores before the softmax, averaged over
heads and layers. The numbers are ours. For queries Q and keys K of one row, in one head of one layer:

    weight   1/|Q| sum_{q in Q} sum_{k in K} A[q, k]        A = softmax(S), so it is a share of all attention
    uniform  1/|Q| sum_{q in Q} |K seen by q| / |seen by q|  the same if attention looked at all alike
    score    the mean of S[q, k] over the pairs that are not hidden

From: the text's tokens, the slots. To: the slots (from a slot the others), the slot itself, structural tokens, the
first token (BOS or [CLS], the known sink), all of the text. A slot is a virtual token, or a key and value in front.
Padding, answers and hidden pairs have no part; a pair of sets without any member is NaN.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from softprompt.backbones.anatomy import Anatomy
from softprompt.errors import SoftPromptError
from softprompt.sites.asking import current
from softprompt.sites.attention import Place
from softprompt.sites.forward_call import Call
from softprompt.sites.layout import Layout

QUERIES = ("text", "slot")
KEYS = ("slot", "itself", "structural", "first", "text")
_SETS = ("slot", "structural", "first", "text")


@dataclass(frozen=True)
class Sequences:
    """What is known of the sequences of a batch beside their ids.

    Attributes:
        owners: the row of each, `(B,)`.
        structural: of each token of each text, virtual ones left out, whether it is structural.
        decoder: which columns of a decoder are no padding, bool, `(B, A)`; None for all.
    """

    owners: Tensor
    structural: Sequence[Sequence[bool]]
    decoder: Tensor | None = None


@dataclass(frozen=True)
class Columns:
    """The columns of one side of an attention, each a bool tensor `(B, T)`."""

    slot: Tensor
    structural: Tensor
    first: Tensor
    text: Tensor

    def beside(self, front: int, behind: int) -> Columns:
        """With keys and values in front, which are slots, and with padding of the model's own behind."""
        rest = {name: pad(getattr(self, name), (front, behind)) for name in _SETS[1:]}
        return Columns(slot=pad(pad(self.slot, (0, behind)), (front, 0), value=True), **rest)


@dataclass(frozen=True)
class Measures:
    """The numbers of one place, fp32, each `(rows, layers, heads, from, to)`, in the order of `QUERIES` and `KEYS`."""

    weight: Tensor
    uniform: Tensor
    score: Tensor


class Meter:
    """Takes the numbers of each attention that is seen; a `note` of `sites.watching`.

    Args:
        anatomy: the parts of the backbone.
        rows: how many rows there will be.
        slots: the ranks of the virtual tokens that count as slots; None for all.
    """

    def __init__(self, anatomy: Anatomy, rows: int, slots: range | None = None) -> None:
        """See the class."""
        self.where = Where(anatomy)
        self.rows, self.slots = rows, slots
        self.sequences = Sequences(torch.zeros(0, dtype=torch.long), ())
        self._found: dict[tuple[Place, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)

    def begin(self, sequences: Sequences) -> None:
        """Say what the next batch is made of."""
        self.sequences = sequences

    def __call__(self, module: nn.Module, weights: Tensor, scores: Tensor) -> None:
        """Take the numbers of one attention; see `sites.watching.Note`."""
        place, layer = self.where.of(module)
        asking, asked = sides(self.sequences, place, weights, self.slots)
        found = numbers(weights, scores, asking, asked, own=place != "cross")
        self._found[place, layer].append((self.sequences.owners.cpu(), found.cpu()))

    def measures(self, place: Place) -> Measures | None:
        """All numbers of a place; None where no attention of it was seen."""
        layers = [layer for where, layer in self._found if where == place]
        if not layers:
            return None
        heads = max(found.shape[1] for key, parts in self._found.items() if key[0] == place for _, found in parts)
        whole = torch.full((3, self.rows, self.where.depth(place), heads, len(QUERIES), len(KEYS)), torch.nan)
        for layer in layers:
            owners, found = (torch.cat(parts) for parts in zip(*self._found[place, layer], strict=True))
            whole[:, :, layer, : found.shape[1]] = torch.stack(
                [found[owners == row].nanmean(0).permute(3, 0, 1, 2) for row in range(self.rows)], 1
            )
        return Measures(*whole)


class Where:
    """Of which place and layer an attention is, call after call.

    Args:
        anatomy: the parts of the backbone; layers that share an attention call it in their order.
    """

    def __init__(self, anatomy: Anatomy) -> None:
        """See the class."""
        self.places: dict[Place, Sequence[nn.Module | None]] = {
            "body": anatomy.attentions,
            "decoder": anatomy.decoder_attentions,
            "cross": anatomy.cross_attentions,
        }
        self._calls: Counter[nn.Module] = Counter()

    def of(self, module: nn.Module) -> tuple[Place, int]:
        """The place and the layer of the call that an attention makes now.

        Raises:
            SoftPromptError: it is of no known layer.
        """
        for place, attentions in self.places.items():
            layers = [layer for layer, one in enumerate(attentions) if one is module]
            if layers:
                self._calls[module] += 1
                return place, layers[(self._calls[module] - 1) % len(layers)]
        raise SoftPromptError("an attention of this backbone is of no layer that is known: it cannot be told apart")

    def depth(self, place: Place) -> int:
        """How many layers a place has."""
        return len(self.places[place])


def sides(sequences: Sequences, place: Place, weights: Tensor, slots: range | None = None) -> tuple[Columns, Columns]:
    """The columns that ask, `(B, Q)`, and those that are asked, `(B, K)`, in the call that is open.

    Args:
        sequences: of the batch.
        place: of the attention.
        weights: `(B, heads, Q, K)`.
        slots: the ranks of the virtual tokens that count as slots; None for all.

    Raises:
        SoftPromptError: the rows run apart, so that nobody knows which is which.
    """
    call, (batch, _, queries, keys) = current(), weights.shape
    assert isinstance(call, Call)
    assert call.layout is not None
    if len(sequences.structural) != batch or call.layout.ids.shape[0] != batch:
        raise SoftPromptError("rows of several lengths run apart on this backbone: look at one row at a time")
    body = _body_columns(call, call.layout, sequences.structural, slots)
    if place == "body":
        width = body.text.shape[1]
        front, behind = keys - queries, queries - width
        return body.beside(0, behind), body.beside(front, behind)
    decoder = _decoder_columns(sequences.decoder, batch, queries, weights.device)
    if place == "decoder":
        return decoder, decoder.beside(keys - queries, 0)
    return decoder, body.beside(keys - body.text.shape[1], 0)


def numbers(weights: Tensor, scores: Tensor, asking: Columns, asked: Columns, *, own: bool) -> Tensor:
    """Weight, uniform and score of each pair of sets; see the module.

    Args:
        weights: fp32, `(B, heads, Q, K)`.
        scores: likewise, minus infinity at what is hidden.
        asking: the columns `(B, Q)`.
        asked: the columns `(B, K)`.
        own: whether a column asks itself too: the last Q of the keys are the queries.

    Returns:
        Shape `(B, heads, from, to, 3)`.
    """
    seen = scores.isfinite().float()
    kept = scores.masked_fill(seen == 0, 0)
    every = seen / seen.sum(-1, keepdim=True).clamp(min=1)
    sets = torch.stack([getattr(asked, name) for name in _SETS], -1).float()  # (B, K, sets)
    front = weights.shape[3] - weights.shape[2]
    sums = []
    for one in (weights, every, kept, seen):
        others = torch.einsum("bhqk,bks->bhqs", one, sets)
        itself = one.diagonal(front, -2, -1) if own else one.new_zeros(one.shape[:3])
        sums.append(torch.cat([others[..., :1], itself[..., None], others[..., 1:]], -1))  # in the order of KEYS
    found = torch.stack(sums, -1)  # (B, heads, Q, to, 4)
    both = torch.stack([asking.text, asking.slot], 1).float()  # (B, from, Q)
    total = torch.einsum("bhqtm,bfq->bhftm", found, both)
    if own:  # a slot's others are all but itself
        total[:, :, 1, 0] = total[:, :, 1, 0] - total[:, :, 1, 1]
    count = both.sum(-1)[:, None, :, None]  # (B, 1, from, 1)
    weight, uniform = total[..., 0] / count, total[..., 1] / count
    score = total[..., 2] / total[..., 3]
    there = _there(sets, both, own=own)[:, None]
    return torch.stack([weight, uniform, score], -1).masked_fill(~there[..., None], torch.nan)


def _there(sets: Tensor, both: Tensor, *, own: bool) -> Tensor:
    """Which pairs of sets have members, bool, `(B, from, to)`."""
    counts = sets.sum(1)  # (B, sets)
    asks = both.sum(-1) > 0  # (B, from)
    there = torch.stack([counts[:, 0] > 0, counts[:, 0] < 0, *(counts[:, 1:] > 0).unbind(1)], -1)
    there = there[:, None].expand(-1, 2, -1).clone()
    if own:
        there[:, 1, 0], there[:, 1, 1] = counts[:, 0] > 1, True
    return there & asks[..., None]


def _body_columns(call: Call, layout: Layout, structural: Sequence[Sequence[bool]], slots: range | None) -> Columns:
    """Of the ids with their virtual tokens: padding, and virtual tokens that are none of the slots, are nothing."""
    ids = layout.ids
    seen = torch.ones_like(ids, dtype=torch.bool) if layout.mask is None else layout.mask.bool()
    first_id = min((one.base for one in call.slots if one.count), default=int(ids.max()) + 1)
    virtual = ids >= first_id
    chosen = virtual if slots is None else virtual & (ids - first_id >= slots.start) & (ids - first_id < slots.stop)
    words, marked, text = seen & ~virtual, torch.zeros_like(seen), torch.zeros_like(seen)
    for row, flags in enumerate(structural):
        columns = words[row].nonzero()[: len(flags), 0]  # what follows the text is its answer
        text[row, columns] = True
        marked[row, columns] = torch.tensor(flags, dtype=torch.bool, device=ids.device)
    first = text & (text.long().cumsum(-1) == 1)
    return Columns(slot=chosen & seen, structural=marked, first=first, text=text)


def _decoder_columns(seen: Tensor | None, batch: int, width: int, device: torch.device) -> Columns:
    text = torch.ones(batch, width, dtype=torch.bool, device=device) if seen is None else seen.to(device).bool()
    none = torch.zeros_like(text)
    first = none.clone()
    first[:, 0] = True
    return Columns(slot=none, structural=none, first=first, text=text)
