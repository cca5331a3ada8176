"""`Task.from_file`: the task of a table alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import PrivateAttr

from softprompt.tasks.data.encodings import check_encoding
from softprompt.tasks.data.held import Table, place_of
from softprompt.tasks.data.splits import DataSource
from softprompt.tasks.definition import TaskDefinition
from softprompt.tasks.guess.guess import Wanted, guess


class FromFile(TaskDefinition):
    """What `softprompt.Task` is made of where a table says what the task is."""

    _source: DataSource | None = PrivateAttr(default=None)
    _notes: tuple[str, ...] = PrivateAttr(default=())  # on how the definition was read or guessed
    _guessed: bool = PrivateAttr(default=False)

    @classmethod
    def from_file(
        cls,
        data: str | Path | Table | Mapping[str, Table] | None,
        text: str | Sequence[str] = (),
        label: str | None = None,
        *,
        shots: int | None = None,
        seed: int = 13,
        max_test_rows: int | None = None,
        validation_data: str | Path | Table | None = None,
        test_data: str | Path | Table | None = None,
        test_size: float | None = None,
        skip_bad: bool = False,
        encoding: str | None = None,
    ) -> Self:
        r"""A task of a table alone: columns, labels, template and label words are guessed, and what was is noted.

        Args:
            data: one file, a folder of files called train and test, or what is in memory; see `load`.
            text: the column of the texts, or several; guessed where there is none.
            label: that of the labels, likewise. Many different texts make a task of the kind `generation`, many
                numbers a `regression`.
            shots: this and all that follows as for `load`.
            seed: of every draw.
            max_test_rows: that are tested on.
            validation_data: rows of their own.
            test_data: so, too.
            test_size: of one file.
            skip_bad: rows that cannot be used.
            encoding: of text files.

        Raises:
            SoftPromptError: no such data, a fault in it, or columns that cannot be told apart: the message lists them.

        Example:
            >>> rows = [{"id": n, "message": f"parcel {n} is late", "team": ("post", "tech")[n % 2]} for n in range(18)]
            >>> sp.Task.from_file(rows).template
            '{message}\nTeam: {mask}'
        """
        parts = (place_of(validation_data, "validation_data"), place_of(test_data, "test_data"))
        source = DataSource(
            place_of(data, "data"),
            *parts,
            shots=shots,
            seed=seed,
            max_test_rows=max_test_rows,
            test_size=test_size,
            skip_bad=skip_bad,
            encoding=None if encoding is None else check_encoding(encoding),
        )
        texts = (text,) if isinstance(text, str) else tuple(text)
        known = tuple(one for one in parts if one is not None)
        found = guess(source.data, Wanted(texts, label, known, seed, shots, source.encoding))
        task = cls(**found.keys)
        task._notes, task._guessed, task._source = (found.told,), True, source
        source.check(task)
        return task

    @property
    def guessed(self) -> bool:
        """Whether `from_file` made it, so that its label words are nobody's choice."""
        return self._guessed

    @property
    def notes(self) -> tuple[str, ...]:
        """What is told of how the definition was read or guessed."""
        return self._notes
