"""Rows as numbers: the text that two rows share, and the exact content of a split."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict, Field, model_validator

from softprompt.tasks.rows import Row
from softprompt.tasks.text.template import Template

# So many hashes of a split at most: each row's own in a few-shot run, some kilobytes in `run.json` at the worst.
_MOST = 256


def fields_read(templates: Iterable[str]) -> tuple[str, ...]:
    """The fields that templates name, each once: what a model gets to read of a row."""
    return tuple(dict.fromkeys(name for source in templates for name in Template.parse(source).fields))


def row_text(row: Row, fields: Iterable[str]) -> str:
    """What makes two rows the same to a model, whatever their labels: equal for equal texts.

    White space between words, the Unicode form and the names and order of the fields make no difference; neither does
    the order of a row's choices.
    """
    texts = sorted(_plain(row.fields[name]) for name in fields)
    choices = sorted(_plain(choice) for choice in row.choices or ())
    return "\x1e".join((*texts, *(f"\x1f{choice}" for choice in choices)))  # neither is left in a plain text


def text_hash(row: Row, fields: Iterable[str]) -> int:
    """`row_text` in 64 bits (BLAKE2b), as a signed integer."""
    digest = hashlib.blake2b(row_text(row, fields).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


class RowsHash(BaseModel):
    """The rows of a split, exactly as read and in their order, so that another set of rows is known and told apart.

    Attributes:
        count: how many rows.
        block: rows a hash; 1 for up to 256 rows.
        texts: of each block in turn, all but the labels.
        labels: of each block in turn, the labels and right answers.
        unordered: of the rows whatever their order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    count: int = Field(ge=0)
    block: int = Field(ge=1)
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    unordered: str

    @model_validator(mode="after")
    def _whole(self) -> RowsHash:
        if not len(self.texts) == len(self.labels) == -(-self.count // self.block):
            raise ValueError(f"{len(self.texts)} and {len(self.labels)} hashes of {self.count} rows")
        return self

    @classmethod
    def of(cls, rows: Sequence[Row]) -> RowsHash:
        """Hash a split."""
        texts = [repr((sorted(row.fields.items()), row.choices, row.group)) for row in rows]
        labels = [repr((row.label, row.answers)) for row in rows]
        block = -(-len(rows) // _MOST) or 1
        starts = range(0, len(rows), block)
        return cls(
            count=len(rows),
            block=block,
            texts=tuple(_digest(texts[start : start + block]) for start in starts),
            labels=tuple(_digest(labels[start : start + block]) for start in starts),
            unordered=_digest(sorted(map("\x1f".join, zip(texts, labels, strict=True)))),
        )

    def difference(self, now: RowsHash) -> str | None:
        """How other rows differ from these, in a clause; None where they are the same. Rows count from 1."""
        if self == now:
            return None
        if (self.count, self.block) != (now.count, now.block):
            return f"{self.count} rows then, {now.count} now"
        texts, labels = (_first(own, other) for own, other in ((self.texts, now.texts), (self.labels, now.labels)))
        first = min((place for place in (texts, labels) if place is not None), default=0)
        start, end = first * self.block + 1, min((first + 1) * self.block, self.count)
        where = f"row {start}" if start == end else f"one of rows {start} to {end}"
        if self.unordered == now.unordered:
            return f"the same rows in another order, from {where} on"
        return f"{where} has another {'text' if texts == first else 'label'}"


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        content = part.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def _first(own: Sequence[str], other: Sequence[str]) -> int | None:
    """The first place at which two lists of one length differ."""
    return next((place for place, pair in enumerate(zip(own, other, strict=True)) if pair[0] != pair[1]), None)
