"""Run folders in a place that all nodes reach by its address: a shared disk, or an object store (fsspec).

`ADDRESS/CELL/<number>-<state>-<sha256>.zip` is a whole run folder as it once stood, packed and not compressed. What
is read must have the checksum of its name, so that a copy that broke off, or one that is still being written, is never
taken for a cell; the one before it, or without one the beginning, leads to the same bytes. A new copy has a new
name, so that none is ever written over. Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from softprompt.errors import SoftPromptError, shortened
from softprompt.files.places import RUN
from softprompt.files.scratch import scratch

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

State = Literal["left", "done"]
_COPY = re.compile(r"(\d{6})-(left|done)-([0-9a-f]{64})\.zip")
_KEYS = re.compile("//[^/@]*@")  # a name and a password in an address, which no message shows
_TRIES = 3  # to find a copy while others come and go
_BETWEEN = 1.0  # seconds until a copy is tried once more
_RARELY = 20  # times as long as a copy takes pass before the next: at most a twentieth of a run goes into copies
_PIECE = 1 << 20


class _Copy(NamedTuple):
    """A copy of a run folder, by its name; the last in their order is what counts."""

    done: bool
    number: int
    digest: str
    name: str


class Store:
    """Copies of run folders.

    Args:
        address: of a folder, as fsspec reads it: `s3://bucket/table`, `sftp://host/table`, `/mnt/table`.

    Attributes:
        address: as it was given.
        shown: the address as a message has it, without a name and a password.

    Raises:
        SoftPromptError: fsspec knows no such address, or lacks the library for it.
    """

    def __init__(self, address: str) -> None:
        """See the class."""
        from fsspec.core import url_to_fs

        self.address, self.shown = address, _KEYS.sub("//", address)
        try:
            self._files: AbstractFileSystem
            self._files, self._root = url_to_fs(address)
        except (ImportError, ValueError) as error:
            raise SoftPromptError(f"store {self.shown}: {_told(error)}: give an address that fsspec can open") from None

    def check(self) -> None:
        """Write a file there and take it away.

        Raises:
            SoftPromptError: it cannot be.
        """
        with self._reaching("written"):
            self._files.makedirs(self._root, exist_ok=True)
            self._files.pipe_file(f"{self._root}/.softprompt", b"softprompt")
            self._files.rm_file(f"{self._root}/.softprompt")

    def fetch(self, cell: str, folder: Path) -> State | None:
        """Bring the last whole copy of a cell.

        Args:
            cell: its name.
            folder: that is empty, or is not there.

        Returns:
            How the cell stood; None where there is no whole copy.

        Raises:
            SoftPromptError: the store cannot be read, or the folder not be written.
        """
        with scratch(folder.parent) as beside:
            copy = self._whole(cell, beside / "copy.zip")
            if copy is None:
                return None
            with zipfile.ZipFile(beside / "copy.zip") as archive:
                archive.extractall(folder)
            return "done" if copy.done else "left"

    def put(self, cell: str, folder: Path, state: State) -> None:
        """Keep a copy of a cell as it stands; of those before it one stays, and beside a finished one none.

        Args:
            cell: its name.
            folder: of its run, which nothing is writing to.
            state: of the cell.

        Raises:
            SoftPromptError: the store cannot be written.
        """
        with scratch(folder.parent) as beside:
            packed = beside / "copy.zip"
            _pack(folder, packed)
            try:
                self._put(cell, packed, state)
            except SoftPromptError:
                time.sleep(_BETWEEN)
                self._put(cell, packed, state)

    def holds(self, cell: str) -> bool:
        """Whether there is a copy of a cell, whole or not.

        Raises:
            SoftPromptError: the store cannot be read.
        """
        return bool(self._copies(cell))

    def _whole(self, cell: str, packed: Path) -> _Copy | None:
        """Bring the last copy of a cell that is what its name says."""
        for _ in range(_TRIES):
            gone = False
            for copy in reversed(self._copies(cell)):
                with self._reaching("read"):
                    try:
                        self._files.get_file(f"{self._root}/{cell}/{copy.name}", str(packed))
                    except FileNotFoundError:  # a newer one has taken its place
                        gone = True
                        continue
                if _digest(packed) == copy.digest:
                    return copy
            if not gone:
                break
        return None

    def _put(self, cell: str, packed: Path, state: State) -> None:
        before = self._copies(cell)
        number = max((copy.number for copy in before), default=0) + 1
        name = f"{number:06}-{state}-{_digest(packed)}.zip"
        place, size = f"{self._root}/{cell}", packed.stat().st_size
        with self._reaching("written"):
            self._files.makedirs(place, exist_ok=True)
            self._files.put_file(str(packed), f"{place}/{name}")
            self._files.invalidate_cache()
            there = self._files.info(f"{place}/{name}")["size"]
            if there != size:
                raise OSError(f"{there:,} of {size:,} bytes came there")
            for copy in before if state == "done" else before[:-1]:
                self._files.rm_file(f"{place}/{copy.name}")

    def _copies(self, cell: str) -> list[_Copy]:
        with self._reaching("read"):
            self._files.invalidate_cache()
            try:
                names = [str(one).rpartition("/")[2] for one in self._files.ls(f"{self._root}/{cell}", detail=False)]
            except FileNotFoundError:
                return []
        found = [(name, match) for name in names if (match := _COPY.fullmatch(name))]
        return sorted(_Copy(match[2] == "done", int(match[1]), match[3], name) for name, match in found)

    @contextmanager
    def _reaching(self, what: str) -> Iterator[None]:
        """Tell whatever a store raises in one line."""
        try:
            yield
        except Exception as error:  # each library raises its own
            why = f"cannot be {what} ({_told(error)})"
            raise SoftPromptError(f"store {self.shown}: {why}: check its address, your rights and its space") from None


class Keeping:
    """Keeps copies of a cell that is being worked on, so that another node can go on with it.

    Args:
        store: for them.
        cell: its name.
        folder: of its run.
        clock: that tells the seconds.
    """

    def __init__(self, store: Store, cell: str, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """See the class."""
        self._store, self._cell, self._folder, self._clock = store, cell, folder, clock
        self._due, self._kept = clock(), self._states()

    def look(self) -> None:
        """Keep a copy of a new state, if the last one was long enough ago; called while nothing is written."""
        begun = self._clock()
        if begun < self._due or (states := self._states()) == self._kept:
            return
        with suppress(SoftPromptError):  # the run goes on, and the last copy tells
            self._store.put(self._cell, self._folder, "left")
            self._kept = states
        now = self._clock()
        self._due = now + _RARELY * (now - begun)

    def end(self, state: State) -> None:
        """Keep the last copy; of a folder that holds no run there is none.

        Raises:
            SoftPromptError: the store cannot be written.
        """
        if (self._folder / RUN).is_file():
            self._store.put(self._cell, self._folder, state)

    def _states(self) -> set[Path]:
        return set(self._folder.rglob("checkpoint-*"))


def _pack(folder: Path, packed: Path) -> None:
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _told(error: Exception) -> str:
    return shortened(_KEYS.sub("//", " ".join(str(error).split())) or type(error).__name__, 200)
