"""What is wrong with rows, collected, so that a file is mended once and not row by row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.tasks.data.record import Record

# What one message tells: so many faults, and of each so many lines; the rest is counted.
_FAULTS, _LINES = 10, 5


class RowFault(ValueError):
    """What is wrong with a row, which its place is told with.

    Args:
        what: is wrong.
        mend: what helps, where the fault itself does not say it.
    """

    def __init__(self, what: str, mend: str = "") -> None:
        """See the class."""
        super().__init__(what)
        self.what, self.mend = what, mend


@dataclass
class _Lines:
    """Where one fault is.

    Attributes:
        mend: what helps.
        first: the first lines.
        count: of all.
    """

    mend: str
    first: list[int] = field(default_factory=list)
    count: int = 0

    def __str__(self) -> str:
        numbers = ", ".join(map(str, self.first))
        more = self.count - len(self.first)
        return f"line{'s' if self.count > 1 else ''} {numbers}" + (f" and {more} more" if more else "")


class BadRows:
    """Rows that cannot be used, by file, fault and line.

    Args:
        skip: they are left out and counted, instead of refused.
        can_skip: whoever reads the rows could leave them out, and is told how.
    """

    def __init__(self, *, skip: bool = False, can_skip: bool = False) -> None:
        """See the class."""
        self.skip, self._can_skip = skip, can_skip
        self._found: dict[str, dict[str, _Lines]] = {}  # by file and fault
        self._counts: Counter[str] = Counter()

    def add(self, record: Record, fault: RowFault | SoftPromptError) -> None:
        """One more."""
        # A guard names the place itself.
        what = fault.what if isinstance(fault, RowFault) else str(fault).removeprefix(f"{record.place}: ")
        self._counts[record.path] += 1
        faults = self._found.setdefault(record.path, {})
        if what not in faults and len(faults) == _FAULTS:
            return
        lines = faults.setdefault(what, _Lines(fault.mend if isinstance(fault, RowFault) else ""))
        lines.count += 1
        if len(lines.first) < _LINES:
            lines.first.append(record.line)

    def check(self) -> None:
        """Raise what was found, unless it is left out.

        Raises:
            SoftPromptError: every fault with its file and lines, up to a number, and how many more there are.
        """
        total = sum(self._counts.values())
        if self.skip or not total:
            return
        own_way = "leave such rows out: skip_bad=True, --skip-bad" if self._can_skip else ""
        if total == 1:
            ((path, faults),) = self._found.items()
            ((what, lines),) = faults.items()
            mends = "; ".join(filter(None, (lines.mend, own_way and f"or {own_way}")))
            raise SoftPromptError(f"{path}, {lines}: {what}" + (f"; {mends}" if mends else ""))
        files = "; ".join(f"{path}: {self._told(path)}" for path in self._found)
        raise SoftPromptError(f"{files}; mend them" + (f", or {own_way}" if own_way else ""))

    def notes(self) -> list[str]:
        """What was left out, a line a file."""
        return [f"{Path(path).name}: left out {self._told(path)}" for path in self._found]

    def _told(self, path: str) -> str:
        faults = self._found[path]
        count, rest = self._counts[path], self._counts[path] - sum(lines.count for lines in faults.values())
        shown = [f"{lines}: {what}" for what, lines in faults.items()]
        more = [f"and {rest} more rows with other faults"] if rest else []
        return f"{count} bad row{'s' if count > 1 else ''}: {'; '.join((*shown, *more))}"
