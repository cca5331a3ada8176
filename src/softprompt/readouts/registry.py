"""Names to readouts: the library's own, those registered by a decorator, and those of installed packages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeAlias, TypeVar

from pydantic import AfterValidator

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards.registry import Entry, Registry, defined
from softprompt.readouts.base import Readout

# Of a task and a `ReadoutContext`; it raises `SoftPromptError` where the readout cannot serve the two.
ReadoutBuilder: TypeAlias = Callable[..., Readout]
_B = TypeVar("_B", bound=ReadoutBuilder)


def _of_package(name: str, given: object) -> list[tuple[str, Entry[ReadoutBuilder]]]:
    if not callable(given):
        raise SoftPromptError(f"{quoted(given)} is no function of a task and a ReadoutContext: give the function")
    return [(name, Entry(given, defined(given)))]


READOUTS: Registry[ReadoutBuilder] = Registry("readout", _of_package, ", or install the package that brings it")


def _known(name: str) -> str:
    READOUTS.get(name)
    return name


KnownReadout: TypeAlias = Annotated[str, AfterValidator(_known)]  # a name of this registry


def readout(name: str) -> Callable[[_B], _B]:
    """Decorator: make the function that builds a readout known under a name, by which options and files ask for it.

    It takes the `Task` and a `ReadoutContext`, gives a `Readout`, and raises `SoftPromptError` where the backbone or
    the task cannot serve it. A package names its readouts by entry points of the group `softprompt.readouts`.

    Raises:
        SoftPromptError: the name is taken by another function.
    """

    def register(function: _B) -> _B:
        READOUTS.add(name, Entry(function, defined(function)))
        return function

    return register
