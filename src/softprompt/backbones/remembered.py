"""What was read off a model, kept for as long as the model lives and is as it was."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

from torch import nn

from softprompt.backbones.compat import DISPATCHED, MODULES, PARAMETERS

T = TypeVar("T")


class Remembered(Generic[T]):
    """One thing a model, and the state of the model that it was read in; it must hold no reference to the model.

    Attributes:
        kept: by model.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.kept: weakref.WeakKeyDictionary[nn.Module, tuple[object, T]] = weakref.WeakKeyDictionary()
        self._lock = threading.RLock()

    def of(self, model: nn.Module, state: object, read: Callable[[], T]) -> T:
        """What is known of a model in this state; it is read, once whatever threads ask, where it was in another."""
        with self._lock:
            known = self.kept.get(model)
            if known is None or known[0] != state:
                known = self.kept[model] = (state, read())
        return known[1]


def settings_of(body: nn.Module) -> dict[str, object]:
    """What a body's configuration says, but for its private values: the state in which a trial of it holds."""
    config = body.config
    return {name: value for name, value in vars(config).items() if not name.startswith("_")}


def state_of(model: nn.Module) -> tuple[object, ...]:
    """What a reader of a model's structure may go by, to be compared: modules, shapes, configurations, not numbers."""
    state: list[object] = []
    configs: dict[int, dict[str, object]] = {}
    known, waiting = {model}, [model]
    while waiting:  # `model.modules()` takes most of the time with names
        module = waiting.pop()
        own = module.__dict__
        state += weakref.ref(module), own.get("is_causal"), id(own.get("forward")), DISPATCHED in own
        state += [(name, one.shape, one.is_meta) for name, one in own[PARAMETERS].items() if one is not None]
        for name, part in own[MODULES].items():
            state += name, id(part)
            if part is not None and part not in known:
                known.add(part)
                waiting.append(part)
        if (config := own.get("config")) is not None:
            configs[id(config)] = getattr(config, "__dict__", {"itself": config})
    return state, [str({name: value for name, value in one.items() if name[0] != "_"}) for one in configs.values()]


def loosened(thing: T) -> Callable[[], T | None]:
    """A value whose attributes name modules, which keeps none of them alive.

    Args:
        thing: its modules stand in attributes, or in tuples there.

    Returns:
        A function that gives the value again, or None once a module is gone.
    """
    kind, held = type(thing), {name: _loose(value) for name, value in vars(thing).items()}

    def again() -> T | None:
        values = {name: _firm(value) for name, value in held.items()}
        if any(value is _GONE for value in values.values()):
            return None
        made = object.__new__(kind)
        made.__dict__.update(values)
        return made

    return again


_GONE = object()


def _loose(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(map(_loose, value))
    return weakref.ref(value) if isinstance(value, nn.Module) else value


def _firm(value: object) -> object:
    if isinstance(value, tuple):
        firm = tuple(map(_firm, value))
        return _GONE if any(part is _GONE for part in firm) else firm
    if not isinstance(value, weakref.ref):
        return value
    found = value()
    return _GONE if found is None else found
