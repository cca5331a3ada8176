"""A lock that is had in the order in which it was asked for.

A thread that runs the model pass after pass gives Python's own lock back and has it again before anyone else wakes: who
wants to attach a prompt would wait as long as there is work.
"""

from __future__ import annotations

import threading
from collections import deque


class Turns:
    """Whoever has the lock may take it again."""

    def __init__(self) -> None:
        """Nobody has it."""
        self._own = threading.Lock()
        self._holder: int | None = None
        self._depth = 0
        self._waiting: deque[tuple[int, threading.Event]] = deque()

    def __enter__(self) -> None:
        me = threading.get_ident()
        with self._own:
            if self._holder in (None, me):
                self._holder = me
                self._depth += 1
                return
            turn = threading.Event()
            self._waiting.append((me, turn))
        turn.wait()

    def __exit__(self, *_: object) -> None:
        with self._own:
            self._depth -= 1
            if self._depth:
                return
            if not self._waiting:
                self._holder = None
                return
            self._holder, turn = self._waiting.popleft()
            self._depth = 1
            turn.set()
