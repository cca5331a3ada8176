"""Names to things of one kind: the library's own, those of a decorator, and those of installed packages.

A name belongs to whoever has it first, and another one's claim to it is an error that names both. Packages are read
when something is asked for that the library does not have itself; one that cannot be used fails for its own names
alone, and takes nothing else along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from softprompt.errors import SoftPromptError, quoted, shortened, shown
from softprompt.guards.suggestions import did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_T = TypeVar("_T")
_SHOWN = 300  # characters of what a package's own code raised


@dataclass(frozen=True)
class Entry(Generic[_T]):
    """What a name stands for.

    Attributes:
        thing: it.
        source: where it is defined: a module and a name in it, or a file.
    """

    thing: _T
    source: str


@dataclass(frozen=True)
class PluginFault:
    """Something of an installed package that cannot be used.

    Attributes:
        names: that it fails for.
        reason: one line with the package, what is wrong and the mend.
    """

    names: frozenset[str]
    reason: str


class Registry(Generic[_T]):
    """Names to things of one kind.

    Args:
        kind: what one of them is called in messages, such as `method`.
        unpack: the entries that an entry point gives, by name, from its name and what it loads.
        mend: how else a name that is missing may be had.
        spell: names that it gives one spelling are the same.

    Attributes:
        group: of the entry points by which packages bring theirs, such as `softprompt.methods`.
    """

    def __init__(
        self,
        kind: str,
        unpack: Callable[[str, object], Iterable[tuple[str, Entry[_T]]]],
        mend: str = "",
        spell: Callable[[str], str] = str,
    ) -> None:
        self._kind, self._unpack, self._mend, self._spell = kind, unpack, mend, spell
        self.group = f"softprompt.{kind}s"
        self._entries: dict[str, Entry[_T]] = {}
        self._faults: tuple[PluginFault, ...] | None = None  # None before packages are read
        self._blocked: dict[str, str] = {}

    def add(self, name: str, entry: Entry[_T]) -> None:
        """Make a thing known under a name; the same one once more, as a reload brings it, takes its own place.

        Raises:
            SoftPromptError: the name is taken by another one, or is no text.
        """
        taken = self._taken(name, entry)
        if taken is not None:
            raise SoftPromptError(f"{taken}: choose another name")
        self._entries[name] = entry

    def __contains__(self, name: object) -> bool:
        """Whether there is a thing of a name that can be used; packages are read only where it is not known so far."""
        if name not in self._entries:
            self._read_packages()
        return name in self._entries and name not in self._blocked

    def get(self, name: str) -> _T:
        """The thing of a name.

        Raises:
            SoftPromptError: there is none, with what there is; or the package that brings it cannot be used.
        """
        if name not in self:
            if name in self._blocked:
                raise SoftPromptError(self._blocked[name])
            raise SoftPromptError(unknown(self._kind, name, self.all()) + self._mend)
        return self._entries[name].thing

    def why_not(self, name: str) -> str | None:
        """Why the package that brings a name cannot be used; None where none is broken."""
        self._read_packages()
        return next((why for key, why in self._blocked.items() if self._spell(key) == self._spell(name)), None)

    def all(self, *, installed: bool = True) -> dict[str, _T]:
        """All that can be used, by name in alphabetical order; with `installed` that of packages too."""
        if installed:
            self._read_packages()
        return {name: one.thing for name, one in sorted(self._entries.items()) if name not in self._blocked}

    def faults(self) -> list[str]:
        """Why each thing that installed packages bring and that cannot be used cannot."""
        self._read_packages()
        return [fault.reason for fault in self._faults or ()]

    def _read_packages(self) -> None:
        """Take what entry points give, once. A package may ask for names while it is read: it gets those so far."""
        if self._faults is not None:
            return
        from importlib.metadata import entry_points

        own = set(self._entries)
        faults = [fault for point in entry_points(group=self.group) for fault in self._take(point)]
        # The library keeps its own names, whatever a package claims; a name that two packages claim is neither's.
        self._blocked = {name: one.reason for one in faults for name in sorted(one.names - own)}
        self._faults = tuple(faults)

    def _take(self, point: EntryPoint) -> list[PluginFault]:
        """Add what one entry point gives; the faults of what cannot be."""
        before = dict(self._entries)
        try:
            found = list(self._unpack(point.name, point.load()))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a package raises, `SystemExit` too, is a fault of its own
            for name in self._entries.keys() - before.keys():
                del self._entries[name]  # what it registered itself before it failed
            return [self._fault({point.name}, point, _said(error))]
        faults = []
        for name, entry in found:
            taken = self._taken(name, entry)
            if taken is None:
                self._entries[name] = entry
            else:
                faults.append(self._fault({point.name, name}, point, taken))
        return faults

    def _taken(self, name: object, entry: Entry[_T]) -> str | None:
        """Why an entry cannot have a name, or None where it can."""
        if not isinstance(name, str) or not name:
            return f"{entry.source} is named {quoted(name)}, which is no name"
        spelt = self._spell(name)
        taken = next((one for key, one in self._entries.items() if self._spell(key) == spelt), None)
        if taken is None or taken.source == entry.source:
            return None
        return (
            f"a {self._kind} named {quoted(name)} is registered already, {taken.source}, and {entry.source} is another"
        )

    def _fault(self, names: set[str], point: EntryPoint, said: str) -> PluginFault:
        whose = "an installed package" if point.dist is None else f"package {point.dist.name} {point.dist.version}"
        line = f"{self._kind} {quoted(point.name)} of {whose} ({point.value}) cannot be used: {said}"
        return PluginFault(frozenset(names), f"{line}: update the package, or uninstall it")


def unknown(kind: str, name: str, choices: Iterable[str]) -> str:
    """That nothing of a kind has a name, what was probably meant, and what there is."""
    known = list(choices)
    return f"no {kind} named {quoted(name)}: {did_you_mean(name, known)}choose from {', '.join(known)}"


def _said(error: BaseException) -> str:
    """What a package's own code raised, in a line."""
    text = shown(shortened(str(error), _SHOWN))
    return text if isinstance(error, SoftPromptError) else f"{type(error).__name__}: {text}".rstrip(": ")


def defined(thing: object) -> str:
    """Where a class or a function is defined: its module and its name there."""
    return f"{getattr(thing, '__module__', None)}.{getattr(thing, '__qualname__', type(thing).__qualname__)}"
