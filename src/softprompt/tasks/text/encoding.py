"""Rows to ids: one sequence with the places of its virtual tokens, its mask and its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.guards.tokenizing import token_ids
from softprompt.tasks.rows import Row
from softprompt.tasks.text.fitting import FittedText, fit_text
from softprompt.tasks.text.template import Mask, PromptSlot, Template
from softprompt.tasks.text.truncation import Truncation

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Encoded:
    """One encoded text.

    Attributes:
        ids: token ids; `-1 - j` stands for the virtual token of rank j (see `with_virtual`).
        mask: column of the mask, or None.
        choice: column of the first token of a candidate, or None.
        lost: of each field that was cut the share of its characters that was left out.
        words: of a row of words, or of a passage's tokens, the column at which each is read, -1 for one that has none.
        spans: of a passage the characters that each of its tokens shows.
        kept: of each field that was cut the text that is left.
    """

    ids: tuple[int, ...]
    mask: int | None
    choice: int | None
    lost: Mapping[str, float] = field(default_factory=dict)
    words: tuple[int, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)

    @property
    def truncated(self) -> bool:
        """Whether a field was cut."""
        return bool(self.lost)


@dataclass(frozen=True)
class RowEncoder:
    """Encodes rows with one template.

    Attributes:
        template: the readout's template.
        tokenizer: the backbone's tokenizer.
        limit: most columns of a sequence, virtual tokens and special tokens among them, answers apart.
        virtual: P of the method; places for them in the template are filled, or left to the method's placement.
        closing: whether the tokenizer's closing special tokens follow (encoders, encoder-decoders).
        mask_id: what stands at the mask, or None where the template's mask is the place after the text.
        truncation: which part of a too long field is left out.
    """

    template: Template
    tokenizer: PreTrainedTokenizerBase
    limit: int
    virtual: int
    closing: bool
    mask_id: int | None
    truncation: Truncation = field(default="end", kw_only=True)

    def encode(self, row: Row, *, choice: str | None = None, room: int = 0) -> Encoded:
        """Encode one row.

        Args:
            row: the row.
            choice: the text of `{choice}`.
            room: columns to leave free for an answer.

        Raises:
            SoftPromptError: the template's fixed text does not fit, its places do not add up to P, or it is empty.
        """
        before, after = self._around
        ranks = self._ranks()
        own = self.virtual
        budget = self.limit - len(before) - len(after) - own - room - (1 if self.mask_id is not None else 0)
        if budget < 0 < room:
            raise SoftPromptError(
                f"an answer may have {room} tokens, which leaves no room for a text in {self.limit}: shorten the "
                "answers, lower max_new_tokens or raise max_length"
            )
        fitted = fit_text(self.template, row.fields, self.tokenizer, budget, choice, self.truncation)
        return self._place(fitted, before, after, ranks)

    @cached_property
    def _around(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The special tokens before and after a text: a tokenizer takes as long for them as for a row."""
        before, after = affixes(self.tokenizer)
        return before, after if self.closing else ()

    def _place(
        self, fitted: FittedText, before: tuple[int, ...], after: tuple[int, ...], ranks: list[range]
    ) -> Encoded:
        ids, mask, start = list(before), None, None
        slots = iter(ranks)
        for index, piece in enumerate(fitted.pieces):
            if fitted.choice == index:
                start = len(ids)
            if isinstance(piece, PromptSlot):
                ids.extend(-1 - rank for rank in next(slots))
            elif isinstance(piece, Mask):
                mask = len(ids)
                if self.mask_id is not None:
                    ids.append(self.mask_id)
            else:
                ids.append(piece)
        if start is None and not after and all(one < 0 for one in ids):
            ids.append(self._nothing())
        return Encoded((*ids, *after), mask, start, fitted.lost, kept=fitted.kept)

    def _nothing(self) -> int:
        """The token that is read where a text has none, as that of a blank row: what texts begin or end with."""
        known = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, self.tokenizer.cls_token_id)
        found: int | None = next((one for one in known if one is not None), None)
        if found is None:
            raise SoftPromptError(
                "a row's text has no tokens, and the tokenizer none that begins or ends a text: give it a text, or set "
                "the tokenizer's bos_token"
            )
        return found

    def _ranks(self) -> list[range]:
        """The ranks of the virtual tokens at each place of the template; none where the method has none there."""
        places = self.template.slots
        if not places or not self.virtual:
            return [range(0)] * len(places)
        counts = [self.virtual if place.count is None else place.count for place in places]
        if sum(counts) != self.virtual:
            raise SoftPromptError(
                f"template {str(self.template)!r} has places for {sum(counts)} virtual tokens and the method has "
                f"{self.virtual}: let the counts add up, or write one place as {{prompt}}"
            )
        ends = list(accumulate(counts, initial=0))
        return [range(start, end) for start, end in pairwise(ends)]


def affixes(tokenizer: PreTrainedTokenizerBase) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The special tokens that the tokenizer puts before and after a text."""
    bare = token_ids(tokenizer, "a")
    full = token_ids(tokenizer, "a", special=True)
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return tuple(full[:start]), tuple(full[start + len(bare) :])
    return (), ()


def continuation(tokenizer: PreTrainedTokenizerBase, word: str, *, space: bool) -> tuple[int, ...]:
    """The ids of a word that goes on a text, after a space or at the start of a line.

    Raises:
        SoftPromptError: the word has no tokens.
    """
    before = "a" if space else "\n"
    carrier = token_ids(tokenizer, before)
    joined = token_ids(tokenizer, before + (" " if space else "") + word)
    ids = joined[len(carrier) :] if joined[: len(carrier)] == carrier else []
    ids = ids or token_ids(tokenizer, word)
    if not ids or ids == [tokenizer.unk_token_id]:
        raise SoftPromptError(f"label word {word!r} is unknown to the backbone's tokenizer: choose another word")
    return tuple(ids)


def pad(sequences: Sequence[Sequence[int]], filler: int, *, left: bool = False) -> tuple[Tensor, Tensor | None]:
    """Sequences as a matrix `(rows, columns)` and its mask, which is None where nothing is padded."""
    width = max(len(ids) for ids in sequences)
    rows, masks = [], []
    for ids in sequences:
        gap = [filler] * (width - len(ids))
        rows.append([*gap, *ids] if left else [*ids, *gap])
        masks.append([0] * len(gap) + [1] * len(ids) if left else [1] * len(ids) + [0] * len(gap))
    mask = torch.tensor(masks) if any(len(ids) < width for ids in sequences) else None
    return torch.tensor(rows), mask


def with_virtual(ids: Tensor, bases: Tensor) -> Tensor:
    """Ids `(rows, columns)` with the stand-ins of virtual tokens turned into ids, given each row's first `(rows,)`."""
    return torch.where(ids < 0, bases[:, None] - 1 - ids, ids)
