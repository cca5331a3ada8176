"""Attention in a batch that runs as one row: its columns are rows again, block by block.

Letters: T columns of the one row, R rows of a block, W columns of its longest, K heads of keys, D their size. See
`prefix_sharing`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby

import torch
from torch import Tensor, nn

from softprompt.sites.joined_attention import Prefix
from softprompt.sites.ragged import Ragged
from softprompt.sites.written_attention import Attend

_PARTS = 4  # rows whose lengths are in the same quarter of the longest one's are about as long
_SAVES = 0.8  # of the scores; blocks cost calls


class Block(Ragged):
    """Rows that lie one after the other in the one row, without padding, and what they see.

    Attributes:
        starts: the position of each row's first column, `(R,)`.
        above: what else its columns see: blocks, each with the row of it that a row sees, `(R,)`; None where it is one.
        prompts: which of the batch's prompts each row has, `(R,)`; None where it is one.
        positions: of the columns, and of filler as if it were some, `(R, W)`.
    """

    def __init__(
        self,
        lengths: Tensor,
        first: int,
        starts: Tensor,
        above: tuple[tuple[Block, Tensor | None], ...] = (),
        prompts: Tensor | None = None,
    ) -> None:
        """See the class."""
        super().__init__(lengths, first)
        self.starts, self.above, self.prompts = starts, above, prompts
        self.positions = starts[:, None] + torch.arange(self.seen.shape[1], device=lengths.device)

    def rows(self, states: Tensor) -> Tensor:
        """The block's rows `(R, K, W, D)` of the one row's states `(1, K, T, D)`, zero at filler."""
        return self.apart(states[0].transpose(0, 1)).transpose(1, 2)

    def columns(self, output: Tensor) -> Tensor:
        """The columns `(1, width, heads, D)` of what attention gives, `(R, W, heads, D)`."""
        return self.together(output)[None]

    def mask(self, window: int | None, *, causal: bool) -> Tensor:
        """What each column sees of the blocks above and of its row, bool, `(R, 1, W, S)`.

        Args:
            window: how many positions back, and ahead, a column sees, itself counted, or None for all.
            causal: whether it sees none ahead.
        """
        parts = [(_rows(one.seen, rows, self), _rows(one.positions, rows, self)) for one, rows in self.above]
        shown, places = (torch.cat(side, 1)[:, None] for side in zip(*parts, (self.seen, self.positions), strict=True))
        since = self.positions[:, :, None] - places
        found = shown & (since >= 0) if causal else shown.expand(-1, since.shape[1], -1)
        if window is not None:
            found = found & (since.abs() < window)
        return (found | ~self.seen[:, :, None])[:, None]  # filler has to see something, whatever comes of it


def by_length(
    lengths: Tensor,
    first: int,
    starts: Tensor,
    above: tuple[tuple[Block, Tensor | None], ...],
    prompts: Tensor | None,
) -> tuple[Block, ...]:
    """A block that no other sees; neighbours that are about as long are blocks of their own where that saves much.

    Rows of a block attend as if all were as long as its longest. Not on a GPU, where more calls cost more.

    Args:
        lengths: as `Block` takes it, and so are the others.
        first: likewise.
        starts: likewise.
        above: likewise.
        prompts: likewise.
    """
    whole = Block(lengths, first, starts, above, prompts)
    rows, longest = whole.seen.shape
    quarters = groupby(lengths.tolist(), key=lambda length: -(-_PARTS * length // max(longest, 1)))
    runs = [[*members] for _, members in quarters]
    scores = sum(len(run) * max(run) ** 2 for run in runs)
    if lengths.device.type != "cpu" or len(runs) > 2 * _PARTS or scores > _SAVES * rows * longest**2:
        return (whole,)
    found, begin = list[Block](), 0
    for run in runs:
        own = slice(begin, begin + len(run))
        seen = tuple((block, None if those is None else those[own]) for block, those in above)
        found.append(Block(lengths[own], first, starts[own], seen, None if prompts is None else prompts[own]))
        begin, first = own.stop, first + found[-1].width
    return tuple(found)


@dataclass
class SharedPrefix:
    """A batch that runs as one row.

    Attributes:
        blocks: the virtual tokens, the fronts that rows share, and what follows them.
        places: the column in the one row of each of the user's, `(B, N)`; of padding that of a neighbour.
        given: the body's arguments before, for a model whose attention does not make use of what it is given.
        causal: whether no column sees those behind it.
        slides: whether some layers see a window alone, so that an attention has to tell which it sees.
        used: the attentions that did.
    """

    blocks: tuple[Block, ...]
    places: Tensor
    given: dict[str, object]
    causal: bool
    slides: bool = False
    used: set[nn.Module] = field(default_factory=set)
    _masks: dict[tuple[int, int | None, tuple[int, ...]], Tensor] = field(default_factory=dict)

    def mask(self, index: int, window: int | None, prefix: Prefix | None) -> Tensor:
        """Of a block `Block.mask`, behind the keys and values of each row's prompt, which all of its columns see."""
        key = index, window, () if prefix is None else prefix.lengths
        if key not in self._masks:
            block = self.blocks[index]
            found = block.mask(window, causal=self.causal)
            if prefix is not None and prefix.seen is None:
                found = nn.functional.pad(found, (prefix.keys.shape[2], 0), value=True)
            elif prefix is not None and prefix.seen is not None:
                shown = _rows(prefix.seen, block.prompts, block)[:, None, None]
                found = torch.cat([shown.expand(*found.shape[:3], -1), found], -1)
            self._masks[key] = found
        return self._masks[key]

    def serves(self, mask: Tensor | None, kwargs: Mapping[str, object]) -> bool:
        """Whether an attention leaves it to the rows what its columns see.

        One that makes a mask of its own does not, nor one whose window stands in its model's mask alone (PhiMoE).
        """
        told = not self.slides or "sliding_window" in kwargs
        return told and mask is not None and mask.numel() == 1

    def back(self, states: Tensor) -> Tensor:
        """States `(1, T, H)` at the user's columns, `(B, N, H)`."""
        places = self.places.view(1, -1, 1).expand(-1, -1, states.shape[-1])
        return states.gather(1, places).view(*self.places.shape, -1)

    def columns(self, selected: Tensor) -> Tensor:
        """Columns of the one row for columns `(B, S)` of the user's batch, those that several share once: `(1, U)`."""
        return self._chosen(selected)[0][None]

    def with_doubles(self, selected: Tensor, found: Tensor) -> Tensor:
        """What was made of `columns(selected)`, `(1, U, ...)`, at each of `(B, S)`: `(1, B * S, ...)`.

        What has more rows than one was given back already, by a model inside the one that is asked.
        """
        order = self._chosen(selected)[1] if found.shape[0] == 1 else None
        return found if order is None else found.index_select(1, order)

    def _chosen(self, selected: Tensor) -> tuple[Tensor, Tensor | None]:
        places = self.places.gather(1, selected).view(-1)
        once, order = places.unique(return_inverse=True)
        return (places, None) if len(once) == len(places) else (once, order)


def attend_shared(
    attend: Attend,
    module: nn.Module,
    states: tuple[Tensor, Tensor, Tensor],
    shared: SharedPrefix,
    prefix: Prefix | None,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """Attention of one row's columns, block by block: `(1, T, heads, D)`.

    Args:
        attend: the model's own attention function.
        module: the attention that calls it.
        states: query `(1, heads, T, D)`, key and value `(1, K, T, D)`.
        shared: how the row is made up.
        prefix: of each prompt of the batch the keys and values that all columns of its rows see, or None.
        **kwargs: as the attention function takes them.
    """
    shared.used.add(module)
    window = kwargs.get("sliding_window")
    assert window is None or isinstance(window, int)
    own: dict[Block, list[Tensor]] = {}
    found = []
    for index, block in enumerate(shared.blocks):
        own[block] = [block.rows(one) for one in states[1:]]
        if not block.width:
            continue
        given = [] if prefix is None else [prefix.keys, prefix.values]
        parts = [[_rows(one, block.prompts, block) for one in given]] if given else []
        parts += [[_rows(one, rows, block) for one in own[above]] for above, rows in block.above]
        keys, values = (torch.cat(side, 2) for side in zip(*parts, own[block], strict=True))
        mask = shared.mask(index, window, prefix)
        output, _ = attend(module, block.rows(states[0]), keys, values, mask, **kwargs)
        found.append(block.columns(output))
    filler = states[0].shape[2] - sum(block.width for block in shared.blocks)
    if filler:
        found.append(found[0].new_zeros(1, filler, *found[0].shape[2:]))
    return torch.cat(found, 1), None


def _rows(states: Tensor, rows: Tensor | None, block: Block) -> Tensor:
    """Those rows of what stands above that the rows of a block see; its only one where there are none."""
    return states.expand(len(block.lengths), *states.shape[1:]) if rows is None else states.index_select(0, rows)
