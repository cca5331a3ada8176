"""Files whose records are asked for again and again, and read once: again only where a file was changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from softprompt.guards.paths import reading
from softprompt.tasks.data.files import each_record
from softprompt.tasks.data.record import Columns, Record


@dataclass(frozen=True)
class _Read:
    """What was read of a file: in which state it was, how, its records, whether these are all, and notes on it."""

    state: tuple[int, ...]
    columns: Columns
    records: list[Record]
    whole: bool
    notes: tuple[str, ...]


class RecordReader:
    """Reads the records of files.

    Args:
        keep: remember what was read.
    """

    def __init__(self, *, keep: bool = False) -> None:
        """See the class."""
        self._keep = keep
        self._kept: dict[Path, _Read] = {}
        self._notes: dict[str, tuple[str, ...]] = {}

    def records(self, path: Path, columns: Columns) -> list[Record]:
        """The records of a file; see `read_records`."""
        return self.records_if(path, columns, lambda first: True) or []

    def notes(self, path: str) -> tuple[str, ...]:
        """What a reader of results should know of how a file was read; nothing of one that was not read here."""
        return self._notes.get(path, ())

    def records_if(self, path: Path, columns: Columns, wanted: Callable[[Record], bool]) -> list[Record] | None:
        """The records of a file, or None where its first one is not wanted: then nothing more of it is read.

        Raises:
            SoftPromptError: see `read_records`.
        """
        with reading(path):
            found = path.stat()
        state = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        known = self._kept.get(path)
        if known is not None and (known.state, known.columns) == (state, columns):
            if not wanted(known.records[0]):
                return None
            if known.whole:
                return known.records
        notes: list[str] = []
        records = each_record(path, columns, notes=notes)
        first = [next(records)]
        whole = wanted(first[0])
        read = _Read(state, columns, [*first, *records] if whole else first, whole, tuple(notes))
        if self._keep:
            self._kept[path] = read
        self._notes[str(path)] = read.notes
        return read.records if whole else None
