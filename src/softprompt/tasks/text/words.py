"""Rows of words to ids, with the column at which each word is read: its first token, or its last.

The words stand in the template as one text, with a space between them, so a tokenizer reads them as it reads any text;
which tokens are a word's is told by their offsets. A row that is too long loses tokens of its words alone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from softprompt.errors import SoftPromptError
from softprompt.guards.tokenizing import tokenise
from softprompt.tasks.rows import Row
from softprompt.tasks.text.encoding import Encoded, RowEncoder, affixes
from softprompt.tasks.text.template import PromptSlot, Sep, Text


@dataclass(frozen=True, slots=True)
class _Piece:
    """A token or the place of virtual tokens.

    Attributes:
        token: its id, or the place.
        words: the places of the words that it shows characters of.
        size: how many characters of the words' text it shows; None of a token of the template.
    """

    token: int | PromptSlot
    words: tuple[int, ...] = ()
    size: int | None = None


@dataclass(frozen=True)
class WordsEncoder(RowEncoder):
    """Encodes rows of words.

    Attributes:
        last: whether a word is read at its last token, which alone has seen all of it on a causal model.
    """

    last: bool = False

    def encode(self, row: Row, *, choice: str | None = None, room: int = 0) -> Encoded:
        """Encode one row; the arguments are those of `RowEncoder`.

        Raises:
            SoftPromptError: the tokenizer gives no offsets, or the template alone does not fit.
        """
        if not getattr(self.tokenizer, "is_fast", False):
            raise SoftPromptError("the tokens of a word are found by a fast tokenizer's offsets: pass a fast tokenizer")
        before, after = affixes(self.tokenizer)
        after = after if self.closing else ()
        pieces = list(self._pieces(row))
        kept, lost = self._cut(pieces, self.limit - len(before) - len(after) - self.virtual - room)
        ids, slots = list(before), iter(self._ranks())
        read: dict[int, int] = {}  # by word the piece that it is read at
        for place, piece in enumerate(pieces):
            read |= {word: place for word in piece.words if self.last or word not in read}
        columns: dict[int, int] = {}
        for place in kept:
            token = pieces[place].token
            columns[place] = len(ids)
            ids.extend([-1 - rank for rank in next(slots)] if isinstance(token, PromptSlot) else [token])
        found = tuple(columns.get(read.get(word, -1), -1) for word in range(len(row.words)))
        return Encoded((*ids, *after), None, None, {name: lost for name in self.template.fields if lost}, found)

    def _pieces(self, row: Row) -> Iterator[_Piece]:
        separator: int | None = getattr(self.tokenizer, "sep_token_id", None)
        for segment in self.template.render(row.fields, None, None if separator is not None else "\n"):
            if isinstance(segment, Text):
                yield from self._tokens(segment, row.words)
            elif isinstance(segment, PromptSlot):
                yield _Piece(segment)
            elif isinstance(segment, Sep) and separator is not None:
                yield _Piece(separator)

    def _tokens(self, text: Text, words: Sequence[str]) -> Iterator[_Piece]:
        """The tokens of a run of text, in which the words may stand."""
        encoded = tokenise(
            self.tokenizer, text.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        begin, end = next(((span.start, span.end) for span in text.spans), (len(text.text), len(text.text)))
        starts = list(accumulate((len(word) + 1 for word in words), initial=begin)) if text.spans else []
        ends = [start + len(word) for start, word in zip(starts, words, strict=False)]
        for token, (first, after) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True):
            own, word = list[int](), bisect_right(ends, first)
            while word < len(ends) and starts[word] < after:
                own.append(word)
                word += 1
            inside = bool(own) or (begin <= first and after <= end and bool(text.spans))
            yield _Piece(token, tuple(own), min(after, end) - max(first, begin) if inside else None)

    def _cut(self, pieces: Sequence[_Piece], budget: int) -> tuple[list[int], float]:
        """The places of the pieces that fit into a budget, and the share of the words' characters that do not."""
        excess = sum(not isinstance(piece.token, PromptSlot) for piece in pieces) - budget
        if excess <= 0:
            return list(range(len(pieces))), 0.0
        own = [place for place, piece in enumerate(pieces) if piece.size is not None]
        if excess > len(own):
            raise SoftPromptError(
                f"template {str(self.template)!r} takes {budget + excess - len(own)} tokens without its words, and "
                f"{budget} fit; shorten the template, use fewer virtual tokens or raise the maximum length"
            )
        left = len(own) - excess
        first = {"end": left, "beginning": 0, "middle": (left + 1) // 2}[self.truncation]
        cut = set(own[first : first + excess])
        sizes = [pieces[place].size or 0 for place in own], [pieces[place].size or 0 for place in sorted(cut)]
        return [place for place in range(len(pieces)) if place not in cut], sum(sizes[1]) / max(1, sum(sizes[0]))
