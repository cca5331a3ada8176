"""What a frozen model makes of texts that no trained value reaches: computed once, and kept by the ids of the text.

A prompt that stands behind the text of a causal model changes no column of it, so that the keys and values of the text
are constants of a training; what an encoder gives is one where the prompts are in the decoder alone. Rows that have the
same text share what is kept of it, wherever they come: in a step, in an evaluation, or as two candidates of one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import torch
from torch import Tensor

from softprompt.sites.kept_room import Room

Ids: TypeAlias = tuple[int, ...]


class KeptTexts:
    """Constants of texts, each `(n, S)` for the n tokens of one.

    Attributes:
        serves: whether the backbone turned out to go this way.
        is_full: whether there was no more room.
        computed: how many texts were run since somebody set it to 0.
    """

    def __init__(self, room: Room) -> None:
        """Nothing is kept yet, and nothing will be but inside `filling`.

        Args:
            room: takes what is kept.
        """
        self.serves, self.is_full, self.computed = True, False, 0
        self._room = room
        self._kept: dict[Ids, Tensor] = {}
        self._fills = False

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, text: object) -> bool:
        return text in self._kept

    def __getitem__(self, text: Ids) -> Tensor:
        return self._kept[text]

    @property
    def fills(self) -> bool:
        """Whether what is computed now is kept, as far as there is room."""
        return self._fills

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Keep what the calls of the block compute, as far as there is room.

        Which texts are kept then does not hang on the steps that a training happened to take, so that one that was
        interrupted goes on with the same numbers.
        """
        self._fills = True
        try:
            yield
        finally:
            self._fills = False

    def of(self, texts: Sequence[Ids], compute: Callable[[], list[Tensor]]) -> list[Tensor]:
        """What the texts of a batch come to, `(n, S)` each; kept where that is wanted and there is room.

        Args:
            texts: none of which is kept. What files hold was made of the same batch, so that its rounding is the same.
            compute: runs them; it gives nothing where the backbone turns out not to go this way.
        """
        if not self._fills or self.is_full:
            return self._run(compute)
        key = self._room.key("texts", texts)
        found = self._room.find(key)
        if found is None:
            computed = self._run(compute)
            found = self._room.keep(key, computed)
            if found is None or not computed:
                self.is_full = found is None
                return computed
        self._kept.update(zip(texts, found, strict=True))
        return found

    def _run(self, compute: Callable[[], list[Tensor]]) -> list[Tensor]:
        found = compute()
        self.computed += len(found)
        return found


def texts_of(ids: Tensor, own: Tensor) -> list[Ids]:
    """The ids of each row at its own columns.

    Args:
        ids: shape `(B, T)`.
        own: which columns are the text's, bool, shape `(B, T)`.
    """
    pairs = zip(ids.tolist(), own.tolist(), strict=True)
    return [tuple(one for one, mine in zip(row, seen, strict=True) if mine) for row, seen in pairs]


def batch_of(texts: Sequence[Ids], device: torch.device) -> tuple[Tensor, Tensor]:
    """Texts as ids `(B, n)`, padded on the right, and their mask."""
    width = max(map(len, texts))
    ids = torch.tensor([(*text, *[0] * (width - len(text))) for text in texts], device=device)
    lengths = torch.tensor([len(text) for text in texts], device=device)
    return ids, (torch.arange(width, device=device) < lengths[:, None]).long()
