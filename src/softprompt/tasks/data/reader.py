"""Files whose records are asked for again and again, and read once: again only where a file was changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from softprompt.guards.paths import reading
from softprompt.tasks.data.files import each_record
from softprompt.tasks.data.record import Columns, Record, begun


@dataclass(frozen=True)
class _Read:
    """What was read of a file: in which state it was, how, its records, and whether these are all."""

    state: tuple[int, ...]
    columns: Columns
    records: list[Record]
    whole: bool


class RecordReader:
    """Reads the records of files, one at a time unless they are kept.

    Args:
        keep: remember what was read.
        encoding: of text files; told by their bytes where it is None.
    """

    def __init__(self, *, keep: bool = False, encoding: str | None = None) -> None:
        """See the class."""
        self.encoding = encoding
        self._keep = keep
        self._kept: dict[Path, _Read] = {}
        self._notes: dict[str, list[str]] = {}

    def records(self, path: Path, columns: Columns) -> Iterable[Record]:
        """The records of a file; see `read_records`."""
        return self.records_if(path, columns, lambda first: True) or ()

    def notes(self, path: str) -> list[str]:
        """What a reader of results should know of how a file was read; nothing of one that was not read here."""
        return self._notes.get(path, [])

    def records_if(self, path: Path, columns: Columns, wanted: Callable[[Record], bool]) -> Iterable[Record] | None:
        """The records of a file, or None where its first one is not wanted: then nothing more of it is read.

        Raises:
            SoftPromptError: see `read_records`; of a later record while they are gone through.
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
        notes = self._notes[str(path)] = list[str]()
        first, records = begun(each_record(path, columns, encoding=self.encoding, notes=notes))
        whole = wanted(first)
        if not self._keep:
            return records if whole else None
        read = self._kept[path] = _Read(state, columns, list(records) if whole else [first], whole)
        return read.records if whole else None
