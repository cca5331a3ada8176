"""The requests that a server has accepted and has not begun to answer, of which none is left without an answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Accepted:
    """Requests that wait for the beginning of their answers; of one event loop."""

    def __init__(self) -> None:
        """None yet."""
        self._waiting: set[anyio.CancelScope] = set()
        self._over = False

    @contextmanager
    def one(self) -> Iterator[anyio.CancelScope]:
        """A request, whose block is left where there is no more time for it: the scope says whether it was."""
        with anyio.CancelScope() as scope:
            self._waiting.add(scope)
            if self._over:
                scope.cancel()
            try:
                yield scope
            finally:
                self._waiting.discard(scope)

    async def begins(self, scope: anyio.CancelScope) -> None:
        """The answer to a request begins: from now on its block is not left, but now it may be."""
        if scope.cancel_called:
            await anyio.lowlevel.checkpoint()
        self._waiting.discard(scope)

    def cut(self) -> int:
        """There is no more time, for those that wait and for any that come; how many wait."""
        self._over = True
        for scope in self._waiting:
            scope.cancel()
        return len(self._waiting)
