"""Rows to ids, with the places of one field's tokens: what a readout needs that reads every word, or every token.

The field stands in the template as text like any other, so a tokenizer reads it as it reads any text; which tokens are
its own is told by their offsets. A row that is too long loses tokens of this field alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from softprompt.errors import SoftPromptError
from softprompt.guards.tokenizing import tokenise
from softprompt.tasks.rows import Row
from softprompt.tasks.text.encoding import RowEncoder
from softprompt.tasks.text.template import PromptSlot, Sep, Text


class Token(NamedTuple):
    """One token of the field: the characters of the field that it shows, and its column, -1 where it was cut."""

    start: int
    end: int
    column: int


class Laid(NamedTuple):
    """A row as ids.

    Attributes:
        ids: as `Encoded` has them.
        tokens: of the field, in order.
        lost: the share of the field's characters that was left out.
    """

    ids: tuple[int, ...]
    tokens: tuple[Token, ...]
    lost: float


@dataclass(frozen=True, slots=True)
class _Piece:
    """A token or the place of virtual tokens, with the characters of the field that it shows; None for none."""

    token: int | PromptSlot
    span: tuple[int, int] | None = None


@dataclass(frozen=True)
class OffsetsEncoder(RowEncoder):
    """Encodes rows of which one field is read token by token.

    Attributes:
        read: the name of that field.
    """

    read: str = ""

    @classmethod
    def over(cls, plain: RowEncoder, read: str) -> Self:
        """One that lays out rows as another does."""
        own = (plain.template, plain.tokenizer, plain.limit, plain.virtual, plain.closing, plain.mask_id)
        return cls(*own, truncation=plain.truncation, read=read)

    def laid(self, row: Row) -> Laid:
        """One row as ids.

        Raises:
            SoftPromptError: the tokenizer gives no offsets, or the rest of the template does not fit.
        """
        if not getattr(self.tokenizer, "is_fast", False):
            raise SoftPromptError("the tokens of a text are found by a fast tokenizer's offsets: pass a fast tokenizer")
        before, after = self._around
        pieces = list(self._pieces(row))
        cut = self._cut(pieces, self.limit - len(before) - len(after) - self.virtual)
        ids, slots, tokens = list(before), iter(self._ranks()), list[Token]()
        for place, piece in enumerate(pieces):
            if piece.span is not None:
                tokens.append(Token(*piece.span, -1 if place in cut else len(ids)))
            if isinstance(piece.token, PromptSlot):
                ids.extend(-1 - rank for rank in next(slots))
            elif place not in cut:
                ids.append(piece.token)
        sizes = [(token.end - token.start, token.column < 0) for token in tokens]
        lost = sum(size for size, gone in sizes if gone) / max(1, sum(size for size, _ in sizes))
        return Laid((*ids, *after), tuple(tokens), lost)

    def _pieces(self, row: Row) -> Iterator[_Piece]:
        separator: int | None = getattr(self.tokenizer, "sep_token_id", None)
        for segment in self.template.render(row.fields, None, None if separator is not None else "\n"):
            if isinstance(segment, Text):
                yield from self._tokens(segment)
            elif isinstance(segment, PromptSlot):
                yield _Piece(segment)
            elif isinstance(segment, Sep) and separator is not None:
                yield _Piece(separator)

    def _tokens(self, text: Text) -> Iterator[_Piece]:
        """The tokens of a run of text, in which the field may stand."""
        encoded = tokenise(
            self.tokenizer, text.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        own = next(((span.start, span.end) for span in text.spans if span.name == self.read), None)
        for token, (start, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            inside = own is not None and ((own[0] <= start and end <= own[1]) or (start < own[1] and end > own[0]))
            if own is None or not inside:
                yield _Piece(token)
            else:
                yield _Piece(token, (max(start, own[0]) - own[0], min(end, own[1]) - own[0]))

    def _cut(self, pieces: Sequence[_Piece], budget: int) -> frozenset[int]:
        """The places of the pieces that must go to fit into a budget."""
        excess = sum(not isinstance(piece.token, PromptSlot) for piece in pieces) - budget
        if excess <= 0:
            return frozenset()
        own = [place for place, piece in enumerate(pieces) if piece.span is not None]
        if excess > len(own):
            raise SoftPromptError(
                f"template {str(self.template)!r} takes {budget + excess - len(own)} tokens without {{{self.read}}}, "
                f"and {budget} fit; shorten the template, use fewer virtual tokens or raise the maximum length"
            )
        left = len(own) - excess
        first = {"end": left, "beginning": 0, "middle": (left + 1) // 2}[self.truncation]
        return frozenset(own[first : first + excess])
