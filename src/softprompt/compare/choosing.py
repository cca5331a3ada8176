"""A method is chosen: those of the shortlist are measured one after another, within a budget of time.

Each has its turn in the order of the shortlist. It is begun where all of its folds fit into the time that is left, and
behind them the run on all rows of whichever may be taken; one that needs more than half of that time waits until all
others had their turn. Once a fold is measured, it is compared with the best of those that have all of theirs, and
dropped where it is clearly behind (`softprompt.compare.race`): what it does not need, others have. The one that leads
in the end is tried with a third and with three times its recipe's rate, where there is time. Where there is none for
two methods, nothing is measured, and the first of the shortlist whose run fits is taken.

Times are those of a step and an answer that are measured here (`softprompt.compare.outlook`), of a training that
nothing stops early; a method whose folds took less is counted by these. Forecasts and the time that was spent are kept
in the record, and a choice that goes on goes on with them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from softprompt.compare.choice_record import ChoiceRecord, Tried
from softprompt.compare.here import HereExecutor
from softprompt.compare.queue import work_off
from softprompt.compare.race import HeldOut
from softprompt.compare.shortlist import Candidate
from softprompt.compare.verdict import Verdict, by_order, by_score
from softprompt.compare.wanted_choice import WantedChoice
from softprompt.errors import Interrupted
from softprompt.progress import Progress, duration
from softprompt.training.fitting.kept_files import forget_kept, sharing_kept
from softprompt.training.run import train

_LOOKS, _SHARE = 0.1, 0.5  # of the time: after which no more methods are looked at, and that one takes at first
_RATES = {"a third": 1 / 3, "three times": 3.0}  # of the recipe's, that the one that leads is tried with
_LEAST = 2  # methods, or there is nothing to choose; all of these are our choice


@dataclass(frozen=True)
class _FoldRun:
    """One fold of one method, as the queue takes it."""

    name: str
    place: int
    fold: int


class Choosing:
    """A choice at work.

    Args:
        wanted: what a method is chosen for.
        show: progress.

    Raises:
        SoftPromptError: the folder holds another choice, or no method comes into question.
    """

    def __init__(self, wanted: WantedChoice, show: Progress) -> None:
        """See the class."""
        self._wanted, self._show, self._begun = wanted, show, time.monotonic()
        self._record = wanted.begun()
        self._tried, self._before = list(self._record.tried), self._record.seconds
        self._answers: dict[int, HeldOut] = {}
        self._tick: Callable[..., None] = lambda *_, **__: None

    def run(self) -> ChoiceRecord:
        """Measure what there is time for, and choose.

        Raises:
            SoftPromptError: there is not even time for a run.
            Interrupted: it was asked to stop.
        """
        if self._record.taken is not None:
            return self._record
        why = self._wanted.why_no_folds()
        self._look()
        why = why or self._why_nothing()
        if why:
            return self._by_order(why)
        self._keep()
        self._show.say(f"{len(self._tried)} methods come into question: each is measured on rows that are held out")
        with self._show.work("folds", self._folds_left(), "folds") as self._tick:
            self._measure()
            if self._of("measured"):
                self._with_other_rates()
                self._measure()
        return self._by_score() if self._of("measured") else self._by_order("none was measured to its end")

    def _spent(self) -> float:
        return self._before + time.monotonic() - self._begun

    def _left(self) -> float:
        return 60 * self._wanted.minutes - self._spent()

    def _needs(self, one: Tried) -> float:
        """Seconds of the folds that a method still needs, and of the longest run that there may be behind them."""
        return self._folds_need(one) + max(self._run_needs(each) for each in (one, *self._of("measured")))

    def _folds_need(self, one: Tried) -> float:
        count = len(one.scores)
        each = one.seconds / count if count else one.fold_seconds or 0.0
        return (self._record.folds - count) * each

    def _run_needs(self, one: Tried) -> float:
        return one.run_seconds or 0.0

    def _folds_left(self) -> int:
        return sum(self._record.folds - len(one.scores) for one in self._of("open"))

    def _expected(self) -> float:
        """Seconds until the run is done, at the most."""
        alive = self._of("open", "measured")
        need = sum(map(self._folds_need, self._of("open"))) + max(map(self._run_needs, alive), default=0.0)
        return max(0.0, min(self._left(), need))

    def _of(self, *states: str) -> list[Tried]:
        return [one for one in self._tried if one.state in states]

    def _change(self, place: int, **values: object) -> None:
        self._tried[place] = self._tried[place].model_copy(update=values)

    def _keep(self, **values: object) -> ChoiceRecord:
        """Write the record as it stands."""
        self._record = self._record.model_copy(
            update={"tried": tuple(self._tried), "seconds": round(self._spent(), 3), **values}
        )
        self._record.write(self._wanted.folder)
        return self._record

    def _look(self) -> None:
        """Measure a step of each method, as far as that takes no more than its share of the time."""
        left = [place for place, one in enumerate(self._tried) if one.state == "open" and one.fold_seconds is None]
        with self._show.work("measuring a step of each", len(left), "methods") as tick:
            for place in left:
                if place >= _LEAST and self._spent() > _LOOKS * 60 * self._wanted.minutes:
                    self._change(place, state="late", why="not looked at: a tenth of the time was over")
                else:
                    self._tried[place] = self._wanted.looked(self._tried[place])
                tick(1, note=self._tried[place].method)

    def _why_nothing(self) -> str:
        """Why nothing is measured; nothing where something is."""
        alive = self._of("open", "measured", "dropped")
        if len(alive) < _LEAST:
            return "no other method comes into question"
        if any(one.scores for one in alive):
            return ""
        least = sorted(alive, key=self._folds_need)[:_LEAST]
        need = sum(map(self._folds_need, least)) + max(map(self._run_needs, least))
        return "" if need <= self._left() else f"{self._wanted.minutes:g} minutes are too few to measure two methods"

    def _measure(self) -> None:
        """Give every method its turn that has not had it; one that takes most of the time waits for the others."""
        for share in (_SHARE, 1.0):
            for place, one in enumerate(self._tried):
                begun = bool(one.scores)  # before an interruption
                if one.state == "open" and (begun or self._needs(one) <= share * self._left()):
                    while self._tried[place].state == "open":
                        self._take_fold(place)
                    self._tell(self._tried[place])
        for place, one in enumerate(self._tried):
            if one.state == "open":
                need, left = duration(self._needs(one)), duration(max(0.0, self._left()))
                self._change(place, state="late", why=f"it needs about {need} with the run, and {left} were left")
                self._tell(self._tried[place])

    def _take_fold(self, place: int) -> None:
        """Train and measure the next fold of a method, and see whether it is dropped."""
        one, begun = self._tried[place], time.monotonic()
        fault = self._train_fold(place, len(one.scores))
        seconds = one.seconds + time.monotonic() - begun
        if fault:
            self._change(place, state="failed", why=fault, seconds=round(seconds, 3))
        else:
            runs = [self._folder(place, fold) for fold in range(len(one.scores) + 1)]
            held = self._answers[place] = HeldOut.of(runs, self._record.metric)
            scores = (*one.scores, HeldOut.of(runs[-1:], self._record.metric).score)
            error = held.error if math.isfinite(held.error) else None
            self._change(place, scores=scores, score=held.score, error=error, seconds=round(seconds, 3))
            self._judge(place)
        self._keep()
        told = f"{one.method}: {len(one.scores) + 1} of {self._record.folds}, about {duration(self._expected())} left"
        done = sum(len(each.scores) for each in self._tried)
        self._tick(1, note=told, total=done + self._folds_left())

    def _judge(self, place: int) -> None:
        """Say how a method stands after a fold."""
        one, best = self._tried[place], self._best()
        told = f"after {len(one.scores)} of {self._record.folds} folds"
        if len(one.scores) == self._record.folds:
            self._change(place, state="measured")
        elif best is not None and (gap := self._held(place).behind(self._held(best))).clear:
            why = f"{told} behind {self._tried[best].label} by {gap.mean:.3f}, error {gap.error:.3f}"
            self._change(place, state="dropped", why=why)
        elif self._needs(one) > self._left():
            self._change(place, state="late", why=f"no time was left {told}")

    def _train_fold(self, place: int, fold: int) -> str:
        """Have a fold's run done, or read it where it is; its fault.

        Raises:
            Interrupted: it was asked to stop.
        """
        job = _FoldRun(self._folder(place, fold).name, place, fold)
        end = work_off([job], HereExecutor(self._do), lambda _: None)[job.name]
        if end.kind == "stopped":
            self._keep()
            folder = self._wanted.folder.parent
            raise Interrupted(f"no method is chosen yet: the same with --resume (resume=True) goes on in {folder}")
        return end.line if end.kind == "failed" else ""

    def _do(self, job: _FoldRun) -> None:
        wanted, one = self._wanted, self._tried[job.place]
        with sharing_kept(wanted.folder):
            train(
                wanted.backbone,
                wanted.fold(job.fold),
                wanted.method(one),
                wanted.training(one),
                seed=wanted.seed,
                output=self._folder(job.place, job.fold),
                resume=True,
                progress=Progress(False),
            )

    def _folder(self, place: int, fold: int) -> Path:
        return self._wanted.folder / f"{place:02d}-{self._tried[place].method}-{fold + 1}of{self._record.folds}"

    def _held(self, place: int) -> HeldOut:
        """The answers of a method so far."""
        if place not in self._answers:
            runs = [self._folder(place, fold) for fold in range(len(self._tried[place].scores))]
            self._answers[place] = HeldOut.of(runs, self._record.metric)
        return self._answers[place]

    def _answered(self) -> dict[int, HeldOut]:
        """The answers of those that were measured on all folds, by place."""
        return {place: self._held(place) for place, one in enumerate(self._tried) if one.state == "measured"}

    def _best(self) -> int | None:
        """The place of the best of these; of equals the first."""
        found = self._answered()
        return max(found, key=lambda place: found[place].score, default=None)

    def _with_other_rates(self) -> None:
        """Put the one that leads on the list again, with other rates."""
        if any("learning_rate" in one.training_options for one in self._tried):
            return
        one = self._tried[by_score(self._tried, self._answered()).place]
        method, anatomy = self._wanted.method(one), self._wanted.backbone.anatomy
        if not method.trains():
            return
        rate = method.recipe(anatomy.family, anatomy.kind).learning_rate
        fresh = Tried.model_validate(one.model_dump(include=set(Candidate.model_fields)))
        costs = {"fold_seconds": one.seconds / len(one.scores), "run_seconds": one.run_seconds}
        for told, share in _RATES.items():
            training = {**one.training_options, "learning_rate": float(f"{rate * share:.3g}")}
            own = {**costs, "training_options": training, "evidence": f"{told} the rate of its recipe"}
            self._tried.append(fresh.model_copy(update=own))

    def _by_score(self) -> ChoiceRecord:
        return self._end(by_score(self._tried, self._answered()))

    def _by_order(self, why: str) -> ChoiceRecord:
        return self._end(by_order(self._tried, self._left(), why))

    def _end(self, verdict: Verdict) -> ChoiceRecord:
        """Keep what was decided."""
        for place, note in verdict.notes.items():
            self._change(place, why=note)
        forget_kept(self._wanted.folder)
        self._show.say(verdict.why)
        return self._keep(taken=verdict.place, why=verdict.why)

    def _tell(self, one: Tried) -> None:
        """A line of a method that had its turn."""
        score = "" if one.score is None else f"{one.score:.3f}" + ("" if one.error is None else f" ± {one.error:.3f}")
        self._show.say(f"{one.label}: {', '.join(filter(None, (score, one.why)))}")
