"""Rows of words to ids, with the column at which each word is read: that of its first token, or of its last."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from softprompt.tasks.rows import Row
from softprompt.tasks.text.encoding import Encoded
from softprompt.tasks.text.offsets import OffsetsEncoder


@dataclass(frozen=True)
class WordsEncoder(OffsetsEncoder):
    """Encodes rows of words, which stand in the template with a space between them.

    Attributes:
        last: whether a word is read at its last token, which alone has seen all of it on a causal model.
    """

    last: bool = False

    def encode(self, row: Row, *, choice: str | None = None, room: int = 0) -> Encoded:
        """Encode one row; see `OffsetsEncoder.laid`."""
        laid = self.laid(row)
        starts = list(accumulate((len(word) + 1 for word in row.words), initial=0))
        ends = [start + len(word) for start, word in zip(starts, row.words, strict=False)]
        columns: dict[int, int] = {}
        for token in laid.tokens:
            word = bisect_right(ends, token.start)
            while word < len(ends) and starts[word] < token.end:
                if self.last or word not in columns:
                    columns[word] = token.column
                word += 1
        found = tuple(columns.get(word, -1) for word in range(len(row.words)))
        return Encoded(laid.ids, None, None, {self.read: laid.lost} if laid.lost else {}, found)
