"""What became of the cells of a table, in one file beside them: a memory, which can be lost.

What is finished stands in the cells' own folders; the ledger saves that each of them is opened to learn it, and keeps
the lines of those that failed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from softprompt.errors import SoftPromptError
from softprompt.files.documents import LONG, read_document
from softprompt.files.places import LEDGER
from softprompt.files.whole import write_json
from softprompt.storage.record import fault
from softprompt.training.fitting.checkpoint import set_aside


class Outcome(BaseModel):
    """How a cell ended.

    Attributes:
        digest: of all that made it the one that it was.
        state: it is finished, or it failed.
        line: of a failure.
        metric: the task's main one.
        value: of the test rows.
        seconds: it took.
        task: the task's name; empty where an earlier version wrote none of what follows.
        method: with what is set of it, as `compare.cells.method_label` has it.
        backbone: its name.
        shots: rows a class; None for all.
        seed: of the run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    digest: str
    state: Literal["done", "failed"]
    line: str = ""
    metric: str = ""
    value: float | None = None
    seconds: float = 0.0
    task: str = ""
    method: str = ""
    backbone: str = ""
    shots: int | None = None
    seed: int = 0


class _Written(BaseModel):
    """What the file holds."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    cells: dict[str, Outcome] = {}


class Ledger:
    """The outcomes of cells by their names, written whenever one is noted.

    Args:
        folder: of the table.
        say: told where the file is damaged or cannot be written; the table goes on without.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        """See the class."""
        self._path, self._say, self._told = folder / LEDGER, say, False
        self._written = self._read()

    def outcome(self, name: str, digest: str) -> Outcome | None:
        """How a cell ended; None where it did not, or was another one."""
        found = self._written.cells.get(name)
        return found if found is not None and found.digest == digest else None

    def note(self, name: str, outcome: Outcome) -> None:
        """Keep how a cell ended."""
        self._written.cells[name] = outcome
        try:
            write_json(self._path, self._written.model_dump(mode="json"))
        except SoftPromptError as error:
            if not self._told:
                self._say(f"{error}; the table goes on, and looks into each finished cell when it is started again")
            self._told = True

    def _read(self) -> _Written:
        if not self._path.exists():
            return _Written()
        try:
            return _Written(cells=outcomes_of(self._path.parent))
        except SoftPromptError as error:
            self._say(f"{error}; kept as {set_aside(self._path).name}, and made again")
            return _Written()


def outcomes_of(folder: Path) -> dict[str, Outcome]:
    """How the cells of a table ended, by their names.

    Args:
        folder: of the table, in which there is a ledger.

    Raises:
        SoftPromptError: it cannot be read.
    """
    values = read_document(folder / LEDGER, longest=LONG)
    try:
        return _Written.model_validate(values).cells
    except ValidationError as error:
        raise SoftPromptError(f"{folder / LEDGER}: {fault(error, values)}") from None
