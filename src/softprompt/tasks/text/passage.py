"""Rows of a passage and what is asked about it to ids, with the columns and the characters of the passage's tokens."""

from __future__ import annotations

from dataclasses import dataclass

from softprompt.tasks.rows import Row
from softprompt.tasks.text.encoding import Encoded
from softprompt.tasks.text.offsets import OffsetsEncoder


@dataclass(frozen=True)
class PassageEncoder(OffsetsEncoder):
    """Encodes rows whose answer is a part of one field, the passage."""

    def encode(self, row: Row, *, choice: str | None = None, room: int = 0) -> Encoded:
        """Encode one row; see `OffsetsEncoder.laid`.

        The first column that is read is that of the first token, which stands for no answer; it shows no characters.
        """
        laid = self.laid(row)
        first = next(column for column, token in enumerate(laid.ids) if token >= 0)
        tokens = [token for token in laid.tokens if token.column >= 0 and token.end > token.start]
        columns = (first, *(token.column for token in tokens))
        spans = ((0, 0), *((token.start, token.end) for token in tokens))
        return Encoded(laid.ids, None, None, {self.read: laid.lost} if laid.lost else {}, columns, spans)
