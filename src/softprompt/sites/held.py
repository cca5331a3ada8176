"""Attributes of a model that attachments need at a value: the first sets its own value aside, the last puts it back.

Attachments come and go in any order and in any thread, so each counts as one holder. All of it happens under one lock
of the process; what is dropped without a `detach` is let go of at the next opportunity.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

_LOCK = threading.Lock()
_LEFT: deque[Callable[[], None]] = deque()
ABSENT = object()


@dataclass
class _Holding:
    """One attribute: whose it is, its own value, and how many hold it."""

    thing: object
    own: object
    holders: int = 0


_HELD: dict[int, dict[str, _Holding]] = {}


@contextmanager
def changing() -> Iterator[None]:
    """Let one thread at a time hold and let go."""
    with _LOCK:
        yield
    _sweep()


def left(let_go: Callable[[], None]) -> None:
    """Let go once nobody is changing anything: for a finaliser, which may run while its own thread is."""
    _LEFT.append(let_go)
    _sweep()


def hold(things: Iterable[object], name: str, *value: object) -> Callable[[], None]:
    """Hold an attribute of some things, and set it where a value is given; inside `changing`.

    Args:
        things: modules, parameters or configurations.
        name: of the attribute; a module's is looked for in the module itself, not in its class.
        *value: what it shall be; none to leave it, whoever changes it meanwhile.

    Returns:
        A function that lets go, once, inside `changing`.
    """
    mine: list[_Holding] = []
    for thing in things:
        held = _HELD.setdefault(id(thing), {}).setdefault(name, _Holding(thing, _read(thing, name)))
        held.holders += 1
        mine.append(held)
        for wanted in value:
            write_value(thing, name, wanted)

    def let_go() -> None:
        while mine:
            held = mine[-1]
            held.holders -= 1
            if not held.holders:
                write_value(held.thing, name, held.own)
                of_thing = _HELD[id(held.thing)]
                del of_thing[name]
                if not of_thing:
                    del _HELD[id(held.thing)]
            mine.pop()

    return let_go


def own_values(thing: object) -> dict[str, object]:
    """What a thing's attributes are without attachments, for those that are held, by name."""
    return {name: held.own for name, held in list(_HELD.get(id(thing), {}).items())}


def write_value(thing: object, name: str, value: object) -> None:
    """Set an attribute where it is another; a module's is taken out of it for `ABSENT`."""
    if _read(thing, name) is value:
        return
    if value is ABSENT:
        del thing.__dict__[name]
    elif isinstance(thing, nn.Module):
        thing.__dict__[name] = value
    else:
        setattr(thing, name, value)


def _read(thing: object, name: str) -> object:
    return thing.__dict__.get(name, ABSENT) if isinstance(thing, nn.Module) else getattr(thing, name)


def _sweep() -> None:
    while _LEFT and _LOCK.acquire(blocking=False):
        try:
            _LEFT.popleft()()
        finally:
            _LOCK.release()
