"""Calls of an attached model come and go; what changes the model waits until none of them runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token

import torch

from softprompt.errors import SoftPromptError

_INSIDE: ContextVar[tuple[Gate, ...]] = ContextVar("softprompt_inside", default=())


class Gate:
    """Many may pass at once; a change is made by one, while nobody is inside.

    Attributes:
        closed: whether the prompts are detached.
    """

    def __init__(self) -> None:
        self.closed = False
        self._free = threading.Condition()
        self._inside = 0
        self._changing = False

    def passing(self) -> _Passing:
        """Be inside for the block; what is inside already may pass again.

        Raises:
            SoftPromptError: the prompts are detached.
        """
        return _Passing(self)

    def enter(self) -> Token[tuple[Gate, ...]] | None:
        """Go in; what comes back is for `leave`."""
        inside = _INSIDE.get()
        if self in inside:
            self.check()
            return None
        with self._free:
            while self._changing:
                self._free.wait()
            self.check()
            self._inside += 1
        return _INSIDE.set((*inside, self))

    def leave(self, token: Token[tuple[Gate, ...]] | None) -> None:
        """Go out."""
        if token is None:
            return
        _INSIDE.reset(token)
        with self._free:
            self._inside -= 1
            if self._changing:
                self._free.notify_all()

    @contextmanager
    def changing(self, what: str) -> Iterator[None]:
        """Wait until nobody is inside, and let nobody in for the block.

        Args:
            what: is going to be done, for the message.

        Raises:
            SoftPromptError: a call is open here, which would wait for itself.
        """
        if self in _INSIDE.get():
            raise SoftPromptError(f"a call of the attached model is running here: {what} once it is done")
        with self._free:
            while self._changing:
                self._free.wait()
            self._changing = True
            try:
                while self._inside:
                    self._free.wait()
            except BaseException:
                self._open()
                raise
        try:
            yield
        finally:
            with self._free:
                self._open()

    def _open(self) -> None:
        self._changing = False
        self._free.notify_all()

    def check(self) -> None:
        """Raise where the prompts are detached."""
        if self.closed:
            raise SoftPromptError("the prompts are detached from this model: attach them again to use them")


class _Passing:
    """See `Gate.passing`; a class, which `torch.compile` understands. A graph, once made, asks no gate."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._token: Token[tuple[Gate, ...]] | None = None

    def __enter__(self) -> None:
        if torch.compiler.is_compiling():
            self._gate.check()
        else:
            self._token = self._gate.enter()

    def __exit__(self, *_: object) -> None:
        if not torch.compiler.is_compiling():
            self._gate.leave(self._token)
