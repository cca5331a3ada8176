"""Drafts whose time is measured: one at a time, as two would slow each other down, and each kept for when it is asked.

A draft that nobody has asked for lately, as its form shows another one by now, makes way for those that are; it is
measured once it is asked for again.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from softprompt.studio.drafts import Draft
from softprompt.studio.estimate import Estimate, words_for
from softprompt.studio.jobs import Jobs

_JOB = "the estimate of a training"  # among the jobs, whose other names are those of folders
_KEPT = 64  # estimates, and drafts that wait
_LATELY = 2.5  # seconds; a page that waits asks each second


class Measuring:
    """The estimates of a studio.

    Args:
        jobs: among which the process that measures is.
    """

    def __init__(self, jobs: Jobs) -> None:
        """Nothing is measured yet."""
        self._jobs, self._lock = jobs, threading.Lock()
        self._found: OrderedDict[str, Estimate] = OrderedDict()
        self._waiting: OrderedDict[str, Draft] = OrderedDict()  # with the one that is measured
        self._asked: dict[str, float] = {}
        self._measured: str | None = None

    def want(self, draft: Draft) -> str:
        """Let a draft be measured, unless it was; the key under which to ask for what is found."""
        key = _key(draft)
        with self._lock:
            self._go_on()
            if key in self._found and self._found[key].fault:
                del self._found[key]  # what was wrong may be mended
            if key not in self._found:
                self._waiting[key], self._asked[key] = draft, time.monotonic()
                self._go_on()
            for one in [one for one in self._waiting if one != self._measured][:-_KEPT]:
                self._drop(one)
        return key

    def of(self, key: str) -> Estimate | None:
        """What was found; None while it is not."""
        with self._lock:
            if key in self._waiting:
                self._asked[key] = time.monotonic()
            self._go_on()
            if key in self._waiting:
                return None
            return self._found.get(key, Estimate(fault="it was not measured: change the form, or load it again"))

    def _go_on(self) -> None:
        """Keep what has been measured, and begin with the next one that somebody waits for; `_lock` is held."""
        wanted = [key for key in self._waiting if self._asked[key] >= time.monotonic() - _LATELY]
        job = self._jobs.of(_JOB)
        if self._measured is not None and job is not None:
            if job.state != "running":
                self._keep(self._measured, job.last)
            elif not wanted or self._measured in wanted:
                return
            else:
                job.kill()
                if not job.wait(5):
                    return
            wanted = [key for key in wanted if key != self._measured]
            self._measured = None
        if wanted:
            self._measured = wanted[0]
            self._jobs.begin(_JOB, [words_for(self._waiting[wanted[0]])])

    def _keep(self, key: str, line: str) -> None:
        try:
            found = Estimate.model_validate_json(line)
        except ValidationError:
            found = Estimate(fault=line or "it could not be measured")
        self._found[key] = found
        while len(self._found) > _KEPT:
            self._found.popitem(last=False)
        self._drop(key)

    def _drop(self, key: str) -> None:
        del self._waiting[key], self._asked[key]


def _key(draft: Draft) -> str:
    """What drafts have in common that take the same time: all but what the run is to be called."""
    try:
        found = draft.data.stat()
        table = (found.st_mtime_ns, found.st_size)
    except OSError:
        table = (0, 0)
    told = repr((replace(draft, out=Path()), table)).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(told, digest_size=8).hexdigest()
