"""A row as the rest of the library sees it: texts by field name and one label, whatever file it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Label: TypeAlias = int | float | str | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One example of a task.

    Attributes:
        fields: the texts by field name.
        label: the class index (classification), the value (regression), the index of a right choice
            (choice), the answer's text (generation, fact), the index of each word's tag (tags), the first character of
            the answer and the one behind it (extraction; empty for no answer), or None where the row has no label.
        choices: the candidates of a choice task, else None.
        group: rows of one group are scored together (MultiRC: one question of one paragraph), else None.
        index: the row's place in its file, from 0.
        answers: every right answer's text, for choice, generation, extraction and fact tasks; none
            where the label of a generation task is a wrong one (T5's WSC).
        words: what the tags of a row are of; its one field is these, joined by spaces.
        part: rows of one part of a test set (WebNLG's seen categories) are scored for themselves, too; empty for none.
        file: that it was read from, or what the table in memory is called; two rows may be equal without it.
        line: its line there, from 1.
    """

    fields: Mapping[str, str]
    label: Label | None = None
    choices: tuple[str, ...] | None = None
    group: str | None = None
    index: int = 0
    answers: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    part: str = ""
    file: str = field(default="", compare=False, repr=False)
    line: int = field(default=0, compare=False, repr=False)

    @property
    def value(self) -> int | float | str | None:
        """The label of a row that has one, and not one a word."""
        assert not isinstance(self.label, tuple)
        return self.label


@dataclass(frozen=True, slots=True)
class Splits:
    """The rows of a task, divided.

    Attributes:
        train: rows to train on.
        validation: rows to choose by; never shown to the optimiser.
        test: held-out rows.
        protocol: how the division came about: ``published`` (the files' own), ``official validation is
            test`` (test labels are secret: 90 % of train, 10 % of train, the official validation rows),
            ``one file`` (80 / 10 / 10, or what few shots leave over), or ``given files`` (of single parts).
        seed: of the draws that the protocol needed.
        shots: rows a class that were drawn to train on, or None for all.
        max_test_rows: how many test rows were asked for at most, or None for all.
        test_size: how much of one file is tested on: what was asked for, "rest" for all that shots leave over, or None
            for a tenth.
        notes: what a reader of results should know, such as rows without text that a published file holds.
    """

    train: list[Row]
    validation: list[Row]
    test: list[Row]
    protocol: str
    seed: int
    notes: tuple[str, ...] = field(default=())
    shots: int | None = None
    max_test_rows: int | None = None
    test_size: float | Literal["rest"] | None = None

    @property
    def published(self) -> bool:
        """Whether the rows came divided; such a division stands as it is, whatever stands in two parts of it."""
        return self.protocol != "one file"
