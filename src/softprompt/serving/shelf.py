"""The prompts that are served, in memory: loaded when they appear, let go when they are gone or the room is needed.

A prompt that was asked least lately goes first, and comes back from its folder when it is asked again. One that is in
use stays until whoever uses it is done, also where its folder has gone or holds another prompt meanwhile.

Two locks, taken in this order: `lock` is held while the model runs, or what is attached to it changes; `_books` for a
look at who is where, so that a request need not wait for the pass of another.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from itertools import count
from pathlib import Path

from softprompt.attached.attach import attach
from softprompt.attached.lowered import can_lower, lower
from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError, quoted, shortened
from softprompt.serving.about import About, about_of
from softprompt.serving.folder import Look, Stored, look_at
from softprompt.serving.served import Served, bytes_of
from softprompt.serving.turns import Turns
from softprompt.sites.wrapped import changes_weights
from softprompt.storage.prompt import load

_LOG = logging.getLogger(__name__)


class NotServed(SoftPromptError):
    """There is no prompt of that name."""


class Shelf:
    """The prompts of one folder over one backbone.

    Args:
        backbone: the frozen model.
        root: the folder, links followed.
        memory: bytes that the prompts may take together; None for any.

    Attributes:
        prompted: the model that all of them are attached to, but for those that stand alone.
        lock: is held by whoever runs the model, or changes what is attached to it.
        faults: of what stands in the folder and is not served, a line each, by name.
    """

    def __init__(self, backbone: Backbone, root: Path, memory: int | None = None) -> None:
        """Look at nothing yet."""
        self.backbone, self.lock, self._books = backbone, Turns(), threading.Lock()
        self.prompted = attach(backbone, {})
        self.faults: dict[str, str] = {}
        self._root, self._memory = root, memory
        self._stored: dict[str, Stored] = {}
        self._loaded: OrderedDict[str, Served] = OrderedDict()  # the least lately asked first
        self._leaving: list[Served] = []
        self._about: dict[Stored, About] = {}
        self._broken: dict[Stored, str] = {}
        self._put_off: dict[str, str] = {}  # why, by name, what the last look could not load is tried again
        self._serial = count()
        self._lowers = can_lower(backbone.anatomy)

    @property
    def names(self) -> list[str]:
        """The prompts that can be asked, sorted."""
        return [name for name, _ in self.known]

    @property
    def known(self) -> list[tuple[str, About]]:
        """The prompts that can be asked, by name, with what is known of each."""
        with self._books:
            return [(name, self._about[one]) for name, one in sorted(self._stored.items()) if one in self._about]

    def about(self, name: str) -> About:
        """What is known of a prompt.

        Raises:
            NotServed: there is none of that name.
        """
        with self._books:
            stored = self._stored.get(name)
            found = None if stored is None else self._about.get(stored)
        if found is None:
            raise _unknown(name)
        return found

    @property
    def bytes(self) -> int:
        """What the prompts in memory take."""
        with self._books:
            return self._bytes()

    @property
    def in_memory(self) -> int:
        """How many prompts are in memory."""
        return len(self._loaded) + len(self._leaving)

    def look(self) -> None:
        """See what has come, changed or gone; what cannot be served is told in a line, once.

        Raises:
            SoftPromptError: the folder itself cannot be read.
        """
        found = look_at(self._root)
        with self._books:
            fresh = [one for name, one in found.prompts.items() if self._stored.get(name) != one]
            for name, served in list(self._loaded.items()):
                if found.prompts.get(name) != served.stored:
                    self._retire(name)
            self._broken = {one: why for one, why in self._broken.items() if one in found.prompts.values()}
            self._about = {one: known for one, known in self._about.items() if one in found.prompts.values()}
            self._stored = {name: one for name, one in found.prompts.items() if one not in self._broken}
        self._put_off = {}
        for one in fresh:
            with self.lock:
                self._tried(one)
        with self.lock:
            self.sweep()
        self._tell(found)

    def take(self, name: str) -> Served:
        """A prompt by its name, for one more user, who gives it back.

        Raises:
            NotServed: there is none of that name.
        """
        served = self._used(name)
        if served is not None:
            return served
        with self.lock:
            stored = self._stored.get(name)
            if stored is not None:
                self._loaded_from(stored)
            served = self._used(name)
        if served is None:
            raise _unknown(name)
        return served

    def use_again(self, served: Served, users: int) -> None:
        """Count so many users more of a prompt that has one."""
        with self._books:
            served.users += users

    def give_back(self, served: Served) -> None:
        """One user less."""
        with self._books:
            served.users -= 1

    def sweep(self) -> None:
        """Take off the model what nobody uses any more and nobody can ask for; `lock` is held."""
        with self._books:
            done = [one for one in self._leaving if not one.users]
        for one in done:
            self._let_go(one)
            with self._books:
                self._leaving.remove(one)

    def close(self) -> None:
        """Give the backbone back as it was."""
        with self.lock:
            with self._books:
                gone = [*self._loaded.values(), *self._leaving]
                self._loaded.clear()
                self._leaving.clear()
                self._stored.clear()
            try:
                for served in gone:
                    self._let_go(served)
            finally:
                self.prompted.detach()

    def _used(self, name: str) -> Served | None:
        """A prompt in memory, with a user more."""
        with self._books:
            served = self._loaded.get(name)
            if served is not None:
                served.users += 1
                self._loaded.move_to_end(name)
            return served

    def _bytes(self) -> int:
        return sum(one.size for one in (*self._loaded.values(), *self._leaving))

    def _tried(self, stored: Stored) -> None:
        """Load a prompt; one at which something fails that nothing foresees is tried at the next look again."""
        try:
            self._loaded_from(stored)
        except Exception as error:  # it stops no other
            why = f"{stored.path}: cannot be loaded ({type(error).__name__}: {shortened(str(error), 200)}): see the log"
            if self.faults.get(stored.name) != why:
                _LOG.exception("%s is not served", stored.name)
            with self._books:
                self._put_off[stored.name] = self.faults[stored.name] = why
                del self._stored[stored.name]

    def _loaded_from(self, stored: Stored) -> None:
        """Load a prompt, unless it is there or cannot be served; `lock` is held."""
        if stored.name in self._loaded or self._stored.get(stored.name) != stored:
            return
        try:
            self._load(stored)
        except SoftPromptError as error:
            _LOG.warning("%s is not served: %s", stored.name, error)
            with self._books:
                self._broken[stored] = self.faults[stored.name] = str(error)
                del self._stored[stored.name]

    def _tell(self, found: Look) -> None:
        faults = {**found.faults, **{one.name: why for one, why in self._broken.items()}, **self._put_off}
        for name, why in faults.items():
            if self.faults.get(name) != why:
                _LOG.warning("%s is not served: %s", name, why)
        self.faults = faults

    def _load(self, stored: Stored) -> None:
        prompt = load(stored.path, self.backbone)
        prompt.producer.eval()
        if prompt.readout is not None:
            prompt.readout.eval()
        slot = f"{stored.name}#{next(self._serial)}"
        served = Served(stored, prompt, slot, bytes_of(prompt.producer) + bytes_of(prompt.readout))
        self._make_room(served.size)
        try:
            self._put_on(served)
            about = about_of(prompt, stored)
        except BaseException:
            self._let_go(served)
            raise
        with self._books:
            self._loaded[stored.name], self._about[stored] = served, about

    def _put_on(self, served: Served) -> None:
        """Attach a prompt, and what it is lowered to."""
        slot, prompt = served.slot, served.prompt
        if changes_weights(prompt.producer):
            served.alone = attach(self.backbone, {slot: prompt})
            return
        self.prompted.add(slot, prompt.producer)
        lowered = lower(self.prompted, slot) if self._lowers else None
        if lowered is not None:
            self._make_room(served.size + lowered.bytes)
            served.lowered, served.size = f"{slot}:lowered", served.size + lowered.bytes
            self.prompted.add(served.lowered, lowered)

    def _make_room(self, wanted: int) -> None:
        """Let go of what was asked least lately and nobody uses, until there is room."""
        if self._memory is None:
            return
        with self._books:
            for name, served in list(self._loaded.items()):
                if self._bytes() + wanted <= self._memory:
                    break
                if not served.users:
                    self._leaving.append(self._loaded.pop(name))
                    wanted -= served.size  # it is counted until it has left
        self.sweep()

    def _retire(self, name: str) -> None:
        self._leaving.append(self._loaded.pop(name))

    def _let_go(self, served: Served) -> None:
        if served.alone is not None:
            served.alone.detach()
            return
        for name in (served.slot, served.lowered):
            if name in self.prompted.names:
                self.prompted.remove(str(name))


def _unknown(name: str) -> NotServed:
    return NotServed(f"model {quoted(name, 80)} is not served: GET /v1/models lists those that are")
