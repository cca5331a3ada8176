"""Which rows of a batch begin alike, so that a causal model need run what they have in common once.

The candidates of a choice go on from one question, a text's label words from one text, and many questions are asked
about one passage. Rows that begin alike are looked for among neighbours, and meet where that leaves most out.
Our choice; no method's mathematics changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_SHARE = 3  # a front is a third of the shortest of its rows at least: what is less saves little
_WORTH = 10  # and all fronts leave a tenth of the columns out, or the rows run as they are


@dataclass
class Front:
    """What some neighbours have in common.

    Attributes:
        rows: how many they are.
        columns: how long it is; the whole row where it is one.
        shortest: of its rows.
    """

    rows: int
    columns: int
    shortest: int

    @property
    def saved(self) -> int:
        """Columns that need not run."""
        return self.columns * (self.rows - 1)


def common_fronts(ids: Tensor, lengths: Sequence[int], kinds: Sequence[object] | None = None) -> list[Front]:
    """The fronts of a batch, in the order of its rows; each row has a part in one.

    Args:
        ids: each row's tokens from the first column on, `(B, N)`.
        lengths: how many they are.
        kinds: rows of one kind alone meet; by default all may.
    """
    alike = (ids[1:] == ids[:-1]).long().cumprod(-1).sum(-1).tolist()
    if kinds is not None:
        alike = [n if one == other else 0 for n, one, other in zip(alike, kinds[1:], kinds[:-1], strict=True)]
    found = [Front(1, length, length) for length in lengths[:1]]
    for length, common in zip(lengths[1:], alike, strict=True):
        found = [*found[:-1], *joined(found[-1], length, common)]
    return found if _WORTH * sum(one.saved for one in found) >= sum(lengths) else [Front(1, n, n) for n in lengths]


def joined(last: Front, length: int, common: int) -> list[Front]:
    """A front with one more row where that leaves more out; else both.

    Args:
        last: the front of the rows before.
        length: of the row.
        common: columns that it has in common with the row before.
    """
    shortest = min(last.shortest, length)
    wider = Front(last.rows + 1, min(last.columns, common, length), shortest)
    pays = wider.saved > last.saved and _SHARE * wider.columns >= shortest
    return [wider] if pays else [last, Front(1, length, length)]


def rows_of(fronts: Sequence[Front], device: torch.device) -> Tensor:
    """The front of each row, `(B,)`."""
    counts = torch.tensor([one.rows for one in fronts], device=device)
    return torch.arange(len(fronts), device=device).repeat_interleave(counts)
