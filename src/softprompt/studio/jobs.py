"""Work that a studio has begun: commands of `softprompt`, one after another, each in a process of its own.

What runs is what is shown: the words of a command are those that a terminal would take. A command that is stopped
writes its state and leaves, as it does at Ctrl-C; so do all of them where the studio ends.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from softprompt.errors import SoftPromptError, shown

_PACKAGE = Path(__file__).parents[2]
_KEPT = 400  # lines of what a command said
_LEAVING = 30.0  # seconds that a command has to leave
_OWN = {"PYTHONIOENCODING": "utf-8", "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"}

JobState = Literal["running", "done", "failed", "stopped"]


class Job:
    """Commands that are run one after another, until one fails.

    Args:
        commands: the words of each, `softprompt` first.
        environment: of the processes.

    Attributes:
        commands: as given.
        said: the last lines that they wrote.
        state: how it stands.
        begun: when, on the monotonic clock.
    """

    def __init__(self, commands: Sequence[Sequence[str]], environment: dict[str, str]) -> None:
        """See the class."""
        self.commands = [list(one) for one in commands]
        self.said: deque[str] = deque(maxlen=_KEPT)
        self.state: JobState = "running"
        self.begun = time.monotonic()
        self._environment, self._stopping = environment, False
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def shown(self) -> list[str]:
        """The commands as they are typed."""
        return [shlex.join(one) for one in self.commands]

    @property
    def last(self) -> str:
        """The last line that was written; empty before the first."""
        return self.said[-1] if self.said else ""

    @property
    def seconds(self) -> float:
        """Since it was begun."""
        return time.monotonic() - self.begun

    def stop(self) -> None:
        """Ask the command in hand to write its state and leave; no other is begun."""
        with self._lock:
            self._stopping = True
            if self._process is not None:
                self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended; whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def kill(self) -> None:
        """End it at once."""
        with self._lock:
            self._stopping = True
            if self._process is not None:
                self._process.kill()

    def _run(self) -> None:
        code = 0
        for words in self.commands:
            try:
                begun = self._begin(words)
            except (OSError, ValueError) as error:  # no memory for a process, or words that none can be given
                self.said.append(shown(f"it cannot be begun: {error}"))
                code = 1
                break
            if not begun:
                break
            assert self._process is not None
            assert self._process.stdout is not None
            with self._process.stdout as lines:
                for line in lines:
                    self.said.append(shown(line.rstrip()))
            code = self._process.wait()
            if code:
                break
        self.state = "stopped" if self._stopping else "failed" if code else "done"

    def _begin(self, words: Sequence[str]) -> bool:
        """Begin a command, unless it was stopped meanwhile; whether it was begun."""
        with self._lock:
            if self._stopping:
                return False
            self._process = subprocess.Popen(  # noqa: S603  (our own program)
                [sys.executable, "-m", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
                encoding="utf-8",
                errors="replace",
            )
            return True


class Jobs:
    """The work of a studio, by what it is for: a run's name, mostly."""

    def __init__(self) -> None:
        """See the class."""
        paths = [str(_PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])]
        self._environment = {**os.environ, **_OWN, "PYTHONPATH": os.pathsep.join(paths)}
        self._known: dict[str, Job] = {}
        self._lock = threading.Lock()

    def begin(self, name: str, commands: Sequence[Sequence[str]]) -> Job:
        """Begin a job.

        Raises:
            SoftPromptError: there is one of that name at work.
        """
        with self._lock:
            known = self._known.get(name)
            if known is not None and known.state == "running":
                raise SoftPromptError(f"{name}: this is at work already: wait for it, or stop it")
            self._known[name] = Job(commands, self._environment)
            return self._known[name]

    def of(self, name: str) -> Job | None:
        """The last job of a name."""
        return self._known.get(name)

    def running(self) -> list[str]:
        """The names of what is at work."""
        return [name for name, job in self._known.items() if job.state == "running"]

    def end(self) -> list[str]:
        """Stop everything, and wait for it; what was at work."""
        names = self.running()
        for name in names:
            self._known[name].stop()
        for name in names:
            if not self._known[name].wait(_LEAVING):
                self._known[name].kill()
                self._known[name].wait(_LEAVING)
        return names
