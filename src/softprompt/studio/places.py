"""The folder that a studio shows: runs by their names in it, and nothing outside it, whatever a name says."""

from __future__ import annotations

import re
from pathlib import Path

from softprompt.errors import SoftPromptError, quoted
from softprompt.files.places import RUN

DATA = "data"  # in the folder: tables that were dropped in
_ODD = re.compile(r"[^A-Za-z0-9._=,+@-]+")  # what no name of a folder should have, as names of a table's cells
_LONGEST = 100


class NotThere(SoftPromptError):
    """A name that nothing in the folder has."""


class Root:
    """The folder.

    Args:
        folder: as the user gave it; paths are shown and given to commands so.
    """

    def __init__(self, folder: Path) -> None:
        """See the class."""
        self.folder = folder
        self._real = folder.resolve()

    def name_of(self, place: Path) -> str:
        """What a folder in it is called: its path from there; the folder itself is `.`."""
        return place.relative_to(self.folder).as_posix()

    def inside(self, name: str) -> Path:
        """The folder of a name, once links are followed one inside.

        Raises:
            NotThere: there is none, or it lies outside.
        """
        place = self.folder / name
        try:
            real = place.resolve()
            there = real.is_dir() and real.is_relative_to(self._real)
        except (OSError, ValueError):  # a null byte, too long a name, a circle of links
            there = False
        if not there or Path(name).is_absolute():
            raise NotThere(f"{quoted(name)}: no such folder in {self.folder}: choose one of the table")
        return place

    def run(self, name: str) -> Path:
        """The folder of a run.

        Raises:
            NotThere: there is none.
        """
        place = self.inside(name)
        if not (place / RUN).is_file():
            raise NotThere(f"{quoted(name)}: no run in {self.folder} is called so: choose one of the table")
        return place

    def free(self, wanted: str) -> str:
        """A name that nothing has yet: the one that is wanted, with a number where it is taken."""
        stem = plain_name(wanted)
        names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 10_000))
        return next(name for name in names if not (self.folder / name).exists())


def plain_name(wanted: str) -> str:
    """A name without what no name of a folder should have; a dash in front would be an option of a command.

    Example:
        >>> from softprompt.studio.places import plain_name
        >>> plain_name("../Über tickets (2).csv")
        'ber_tickets_2_.csv'
    """
    return _ODD.sub("_", Path(wanted).name[:_LONGEST]).strip("._-") or "run"
