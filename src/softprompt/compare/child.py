"""A process of ours that reads lines and answers in lines, both of JSON.

It stands in a session of its own, so that Ctrl-C is the parent's alone. Where the parent is killed, it notices the end
of its input.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TextIO

LEAVING = 60.0  # seconds that a process has to leave
_PACKAGE = Path(__file__).parents[2]
_QUIET = {
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "PYTHONIOENCODING": "utf-8",
    "PYTHONSAFEPATH": "1",  # no module of the current folder stands for one of the library's
    "PYTHONWARNINGS": "ignore",
    "TRANSFORMERS_VERBOSITY": "error",
}


class Child:
    """A process of the library.

    Args:
        module: that it runs.
        own: variables of its environment beside this process's.
        hear: told of each line, in a thread of its own, and of None where it has left.
    """

    def __init__(self, module: str, own: Mapping[str, str], hear: Callable[[str | None], None]) -> None:
        """See the class."""
        self._why: str | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  (`left` closes it)
        paths = [str(_PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(  # noqa: S603  (a module of ours)
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **_QUIET, "PYTHONPATH": os.pathsep.join(paths), **own},
            start_new_session=True,
            encoding="utf-8",
        )
        self._listener = threading.Thread(target=self._listen, args=(hear,), daemon=True)
        self._listener.start()

    def _listen(self, hear: Callable[[str | None], None]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            hear(line)
        hear(None)

    def say(self, line: str) -> None:
        """Hand a line over; that a process is gone shows at its other end."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError, ValueError):  # it has left, and its input may be closed
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def signal(self, number: int) -> None:
        """Send a signal; to one that has left, none."""
        self._process.send_signal(number)

    def leave(self) -> None:
        """Say that nothing more comes."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def left(self) -> str:
        """Wait until it has left; why it did."""
        if self._why is None:
            self._why = self._ended()
        return self._why

    def _ended(self) -> str:
        self.leave()
        try:
            code = self._process.wait(LEAVING)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._listener.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
        with self._errors as errors:
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace").split("\n")
        if code == -signal.SIGKILL:
            return "killed, as by a system that is out of memory"
        if code < 0:
            return f"signal {signal.Signals(-code).name}"
        return f"exit code {code}{next((f': {line.strip()}' for line in reversed(said) if line.strip()), '')}"


def answers() -> TextIO:
    """Where a child's answers go: its standard output; whatever else is printed goes to standard error from now on."""
    own = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return own
