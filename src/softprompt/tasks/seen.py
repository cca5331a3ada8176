"""The rows that a prompt was trained and chosen on, so that a later evaluation knows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from softprompt.tasks.row_hash import text_hash
from softprompt.tasks.rows import Row, Splits

_READINGS = 100


class Division(BaseModel):
    """How the rows of a run were divided; it stands in `prompt.json` under `rows`.

    Attributes:
        seed: of the draws.
        shots: rows a class to train on, or None for all.
        max_test_rows: at most so many test rows, or None for all.
        test_size: how much of one file was tested on, as `Splits` has it.
        protocol: as `Splits` has it.
        fields: whose texts make two rows the same: those that the prompt reads.
        train: how many texts it was trained on.
        validation: how many texts it was chosen by.
        complete: whether all rows are known; not those of a prompt that it started from and that did not tell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    seed: int
    shots: int | None = Field(ge=1)
    max_test_rows: int | None = Field(ge=1)
    protocol: str
    fields: tuple[str, ...] = Field(min_length=1)
    train: int = Field(ge=0)
    validation: int = Field(ge=0)
    complete: bool
    test_size: Annotated[float, Field(gt=0)] | Literal["rest"] | None = None


@dataclass(frozen=True)
class SeenRows:
    """Rows that a prompt was trained or chosen on, as hashes of their texts (`text_hash`).

    A text under another label is a row that was seen. Hashes do not give a text back, but whoever has a text can find
    out whether it is among them.

    Attributes:
        division: how the run's rows were divided; None for a prompt that does not tell.
        train: hashes of texts that it was trained on.
        validation: hashes of texts that it was chosen by.
    """

    division: Division | None = None
    train: frozenset[int] = frozenset()
    validation: frozenset[int] = frozenset()

    @classmethod
    def of(cls, splits: Splits, fields: tuple[str, ...], starts: Sequence[SeenRows] = ()) -> SeenRows:
        """What a run has seen.

        Args:
            splits: its rows.
            fields: that its prompt reads.
            starts: what the prompts that it started from had seen.
        """
        train = frozenset(text_hash(row, fields) for row in splits.train).union(*(one.train for one in starts))
        validation = frozenset(text_hash(row, fields) for row in splits.validation)
        validation = validation.union(*(one.validation for one in starts))
        division = Division(
            seed=splits.seed,
            shots=splits.shots,
            max_test_rows=splits.max_test_rows,
            test_size=splits.test_size,
            protocol=splits.protocol,
            fields=fields,
            train=len(train),
            validation=len(validation),
            complete=all(one.complete for one in starts),
        )
        return cls(division, train, validation)

    @property
    def complete(self) -> bool:
        """Whether every row that the prompt was trained or chosen on is known."""
        return self.division is not None and self.division.complete

    def marks(self, rows: Sequence[Row]) -> list[bool]:
        """For each row whether its text is one of these.

        Another task may give its fields other names and have more of them, so as many of them as the prompt reads are
        tried together.
        """
        if self.division is None:
            return [False] * len(rows)
        known = self.train | self.validation
        return [any(text_hash(row, few) in known for few in _readings(row, self.division.fields)) for row in rows]

    def count(self, rows: Sequence[Row]) -> int | None:
        """How many of the rows were seen; None where that cannot be known."""
        return count_seen([self], rows)


def count_seen(seen: Sequence[SeenRows], rows: Sequence[Row]) -> int | None:
    """On how many rows at least one of several prompts was trained or chosen; None where one does not know all."""
    return sum(_marks(seen, rows)) if all(one.complete for one in seen) else None


def unseen(seen: Sequence[SeenRows], rows: Sequence[Row]) -> list[Row]:
    """The rows that none of several prompts was trained or chosen on, as far as they know theirs.

    Rows of a group are scored together, so a group with a row that was seen is left out whole.
    """
    return without(rows, _marks(seen, rows))


def without(rows: Sequence[Row], marks: Sequence[bool]) -> list[Row]:
    """The rows that are not marked, nor in a group with one that is."""
    groups = {row.group for row, mark in zip(rows, marks, strict=True) if mark and row.group is not None}
    return [row for row, mark in zip(rows, marks, strict=True) if not mark and row.group not in groups]


def _readings(row: Row, own: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Fields of a row that a prompt may read as its own; so many combinations at most that a row stays cheap."""
    yield from islice(combinations(row.fields, len(own)), _READINGS)
    if row.fields.keys() >= set(own):
        yield own


def _marks(seen: Sequence[SeenRows], rows: Sequence[Row]) -> list[bool]:
    return [any(each) for each in zip(*(one.marks(rows) for one in seen), strict=True)]
