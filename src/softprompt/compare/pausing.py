"""A training that pauses after some of its evaluations, so that its curve can be judged before it goes on.

Nothing is changed in it: it is stopped right after an evaluation, whose state is written, and goes on as one that
was interrupted. Its schedule is that of the whole training. A training of several stages, as a search for layers and
what follows it, does not pause: an evaluation of its first stage says nothing of the last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from softprompt.compare.executor import Paused
from softprompt.evaluation.score import Scores
from softprompt.files.places import METRICS
from softprompt.progress import Progress
from softprompt.training.finished import read_metrics
from softprompt.training.fitting import checkpoint
from softprompt.training.fitting.record import load_extra
from softprompt.training.fitting.stage import TRAINING
from softprompt.training.setup import STATE


def curve(folder: Path, say: Callable[[str], None] = lambda line: None) -> list[Scores]:
    """The evaluations of a run so far, the untrained state's first; none of one that has several stages.

    Args:
        folder: of the run, which may be finished or not, or not be there.
        say: told of a damaged training state that is set aside.

    Raises:
        SoftPromptError: what is finished cannot be read.
    """
    if (folder / METRICS).is_file():
        history = read_metrics(folder / METRICS).history
    else:
        newest = checkpoint.latest(folder / STATE, say)
        history = [] if newest is None else load_extra(newest)["history"]
    return [] if any("stage" in one for one in history) else list(history)


def best_until(evaluations: list[Scores], count: int, metric: str) -> float | None:
    """The best value of a metric by so many evaluations after the untrained state's; None where there is none.

    Args:
        evaluations: the curve.
        count: of evaluations.
        metric: its name.
    """
    values = [one[metric] for one in evaluations[: count + 1]]
    return max((float(one) for one in values if isinstance(one, int | float) and math.isfinite(one)), default=None)


class Pausing(Progress):
    """Progress that breaks a training off once it has been evaluated so often.

    Args:
        show: where it is shown.
        folder: of the run.
        after: evaluations, the untrained state's not counted.
    """

    def __init__(self, show: Progress, folder: Path, after: int) -> None:
        """See the class."""
        super().__init__(show.shown)
        self._show, self._folder, self._after = show, folder, after

    def say(self, message: str) -> None:
        """One line."""
        self._show.say(message)

    @contextmanager
    def work(self, name: str, total: int, unit: str) -> Iterator[Callable[..., None]]:
        """Show one piece of work; after an evaluation, which has a word of its own, the training may be far enough."""
        with self._show.work(name, total, unit) as tick:

            def advance(done: int = 1, note: str | None = None, total: int | None = None) -> None:
                tick(done, note=note, total=total)
                if name == TRAINING and note is not None:
                    self.check()

            yield advance

    def check(self) -> None:
        """Go no further where the training is far enough, unless nothing of it is left.

        Raises:
            Paused: it is.
        """
        if not (self._folder / METRICS).is_file() and len(curve(self._folder, self.say)) > self._after:
            raise Paused(f"paused after {self._after} evaluations")
