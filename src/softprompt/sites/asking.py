"""What is attached belongs to a call: modules of the backbone ask the open call how to work, and are as ever without.

The open call stands in a context variable, so every thread and every task has its own, and a bare call has none. While
something is attached, each module at which it works is of a sub-class of its own class: when it is called, and when
its parameters or its training flag are read, it asks the open call. A call that knows nothing of the module, and no
call, leave it as it is, bit for bit. A copy or a pickle of such a module is of the module's own class.
"""

from __future__ import annotations

import copyreg
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from copy import copy, deepcopy
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Protocol, SupportsIndex, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from softprompt.backbones.compat import MODULES, PARAMETERS, children_of, parameters_of
from softprompt.sites.held import own_values, write_value

TRAINING, FORWARD = "training", "forward"

Beneath: TypeAlias = Callable[..., Any]  # a module's own call: what it gives is known to the caller alone
# Works around a module's call: (the open call, the module's own call, its arguments, its keywords) to its output. Of
# the open call the sites know more than `Open`.
Around: TypeAlias = Callable[[Any, Beneath, tuple[object, ...], dict[str, object]], object]


_T = TypeVar("_T")


class Open(Protocol):
    """What is asked of a call by modules, by checkpoints, and by the attached model whose call it is."""

    owner: object
    around: Mapping[nn.Module, Around]
    carried: dict[nn.Module, object]
    checkpointed: bool

    def tensor(self, module: nn.Module, name: str) -> Tensor | None:
        """What stands in the place of a parameter during the call, or None."""

    def trains(self, module: nn.Module) -> bool | None:
        """The training flag during the call, or None for the module's own."""

    def computed(self, module: nn.Module, given: Tensor) -> Tensor | None:
        """What a linear module makes of its input, where the call computes that by itself, or None."""


_OPEN: ContextVar[Open | None] = ContextVar("softprompt_open_call", default=None)


class _Compiled:
    """The open call in code that `torch.compile` traces, which knows no context variables.

    Where a graph breaks, calls are opened by code of either kind, and code of either kind asks. What traced code opened
    stands in `traced` until something inside it is opened; `beside` is a copy of the context variable for traced code.
    """

    def __init__(self) -> None:
        self.traced: Open | None = None
        self.beside: Open | None = None


class _Thread(threading.local):
    """Holds an object for each thread: what traced code writes to the local itself, is lost."""

    def __init__(self) -> None:
        self.compiled = _Compiled()


_THREAD = _Thread()


def current() -> Open | None:
    """The call that is open here, or None."""
    compiled = _THREAD.compiled
    if compiled.traced is not None:
        return compiled.traced
    return compiled.beside if torch.compiler.is_compiling() else _OPEN.get()


class opened:
    """Let a call be the open one inside the block, in this thread or task alone."""

    def __init__(self, call: Open) -> None:
        """Of the call."""
        self._call = call
        self._traced: Open | None = None
        self._token: Token[Open | None] | None = None

    def __enter__(self) -> None:
        compiled = _THREAD.compiled
        self._traced = compiled.traced
        if torch.compiler.is_compiling():
            compiled.traced = self._call
        else:
            compiled.traced, compiled.beside, self._token = None, self._call, _OPEN.set(self._call)

    def __exit__(self, *_: object) -> None:
        compiled = _THREAD.compiled
        compiled.traced = self._traced
        if self._token is not None:
            _OPEN.reset(self._token)
            compiled.beside = _OPEN.get()


def entry_of(table: Mapping[nn.Module, _T], module: nn.Module) -> _T | None:
    """What a table has for a module, or None; also where `torch.compile` traces no more than a part of the model.

    A part that is compiled by itself then runs for every module of its kind: which of them it is, the compiler looks at
    where their `id` is asked for, and not where they are keys.
    """
    id(module)
    return table.get(module)


@dataclass
class _Asker:
    """A module that asks: its own class, how many attachments need it to, and what for."""

    module: nn.Module
    own: type
    holders: int = 0
    names: Counter[str] = field(default_factory=Counter)

    def turn(self) -> None:
        """Be of the class that asks for what is needed; leave a class that someone else made of it meanwhile."""
        names = frozenset(name for name, count in self.names.items() if count)
        wanted = _asking(self.own, names) if self.holders else self.own
        if own_class(self.module) is self.own:
            self.module.__class__ = wanted


_ASKERS: dict[int, _Asker] = {}


def ask(modules: Mapping[nn.Module, frozenset[str]]) -> Callable[[], None]:
    """Let modules ask the open call when they are called, and for what they are; inside `held.changing`.

    Args:
        modules: each with the names that it asks for: of parameters, `TRAINING`, and, of linear ones, `FORWARD`.

    Returns:
        A function that lets them rest, once, inside `held.changing`.
    """
    mine: list[tuple[_Asker, frozenset[str]]] = []
    for module, names in modules.items():
        asker = _ASKERS.setdefault(id(module), _Asker(module, type(module)))
        asker.holders += 1
        asker.names.update(names)
        mine.append((asker, names))
        asker.turn()

    def rest() -> None:
        while mine:
            asker, names = mine[-1]
            asker.holders -= 1
            asker.names.subtract(names)
            asker.turn()
            if not asker.holders:
                del _ASKERS[id(asker.module)]
            mine.pop()

    return rest


def own_class(module: nn.Module) -> type[nn.Module]:
    """A module's class while nothing is attached."""
    kind = type(module)
    own: type[nn.Module] = kind.__dict__.get("_softprompt_own", kind)
    return own


def beneath(module: nn.Module, *args: object, **kwargs: object) -> Any:
    """What a module answers by itself, whatever call is open."""
    return own_class(module).__call__(module, *args, **kwargs)


def mirrored(module: nn.Module, finish: Callable[[nn.Module, nn.Module], None]) -> nn.Module:
    """A module of its own class that holds the same parameters and buffers, down to its leaves.

    Args:
        module: attached to or not.
        finish: is told of each module and its mirror, whose `__dict__` it may change.
    """
    seen: dict[int, nn.Module] = {}

    def mirror(one: nn.Module) -> nn.Module:
        if id(one) not in seen:
            own = own_class(one)
            made = seen[id(one)] = own.__new__(own)
            made.__dict__.update(one.__dict__)
            inner = {name: None if part is None else mirror(part) for name, part in children_of(one).items()}
            made.__dict__[MODULES] = inner
            finish(one, made)
        return seen[id(one)]

    return mirror(module)


@cache
def _asking(own: type, names: frozenset[str]) -> type:
    """The sub-class of a module's class that asks."""

    def call(self: nn.Module, *args: object, **kwargs: object) -> object:
        now = current()
        around = None if now is None else entry_of(now.around, self)
        if around is None:
            return own.__call__(self, *args, **kwargs)
        return around(now, partial(own.__call__, self), args, kwargs)

    answers = {name: _answer(own, name) for name in names}
    named = {"__module__": own.__module__, "__qualname__": own.__qualname__, "__doc__": own.__doc__}
    copying = {"__deepcopy__": _copied, "__reduce_ex__": _reduced}
    known = {"__call__": call, "_softprompt_own": own, **answers, **named, **copying}
    return type(own)(own.__name__, (own,), known)


def _answer(own: type, name: str) -> object:
    """What stands for a name in the class that asks."""
    return _forward(own) if name == FORWARD else _flag() if name == TRAINING else _parameter(name)


def _forward(own: type[nn.Module]) -> Callable[..., object]:
    def forward(self: nn.Module, *args: object, **kwargs: object) -> object:
        now, given = current(), next(iter((*args, *kwargs.values())), None)  # families name it as they like
        made = now.computed(self, given) if now is not None and isinstance(given, Tensor) else None
        return own.forward(self, *args, **kwargs) if made is None else made

    return forward


def _parameter(name: str) -> property:
    def read(self: nn.Module) -> Tensor | None:
        now, own = current(), parameters_of(self)[name]
        other: Tensor | None = None if now is None else now.tensor(self, name)
        return own if other is None or own is None else other.to(own.dtype)

    return property(read)


def _flag() -> property:
    def read(self: nn.Module) -> bool:
        now = current()
        other: bool | None = None if now is None else now.trains(self)
        own: bool = self.__dict__[TRAINING]
        return own if other is None else other

    def set_own(self: nn.Module, value: bool) -> None:
        self.__dict__[TRAINING] = value

    return property(read, set_own)


def _copied(self: nn.Module, memo: dict[int, object]) -> nn.Module:
    """A copy to which nothing is attached, in the modes of its own."""
    own = own_class(self)
    made: nn.Module = own.__new__(own)
    memo[id(self)] = made
    made.__setstate__(deepcopy(self.__getstate__(), memo))
    for module in self.modules():
        for thing in (module, *parameters_of(module).values(), *module.__dict__.values()):
            for name, value in own_values(thing).items():
                if id(thing) in memo:
                    write_value(memo[id(thing)], name, value)
    return made


def _reduced(self: nn.Module, protocol: SupportsIndex) -> tuple[object, ...]:
    """As pickle shall see it: a module of its own class to which nothing is attached."""
    made = mirrored(self, partial(_unattached, {}))
    # The module's own answer would name this object's class, which pickle compares with the class it finds.
    return copyreg._reconstructor, (type(made), object, None), made.__getstate__()  # type: ignore[attr-defined]  # typeshed leaves it out


def _unattached(seen: dict[int, object], module: nn.Module, made: nn.Module) -> None:
    """Give a mirror the values that its module, its parameters and its configuration have by themselves."""
    for name, value in own_values(module).items():
        write_value(made, name, value)
    for part in (made.__dict__, parameters := dict(made.__dict__[PARAMETERS])):
        part.update({name: _by_itself(seen, one) for name, one in part.items() if own_values(one)})
    made.__dict__[PARAMETERS] = parameters


def _by_itself(seen: dict[int, object], thing: object) -> object:
    """A thing that shares all it has with another, but for what attachments hold."""
    if id(thing) not in seen:
        made: object = nn.Parameter(thing.detach(), False) if isinstance(thing, nn.Parameter) else copy(thing)
        for name, value in own_values(thing).items():
            write_value(made, name, value)
        seen[id(thing)] = made
    return seen[id(thing)]
