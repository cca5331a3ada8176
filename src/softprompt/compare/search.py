"""A search: configurations of one method are tried, the best by validation is kept, and stands beside the default.

A trial is as many cells as there are folds (`softprompt.tasks.data.folds`), or one cell without test rows. No cell of a
trial sees the task's test rows, so nothing that is chosen can be chosen by them.

With halving a trial is judged on its way, and goes on where it promises enough (`softprompt.compare.halving`): one of
folds once half of them have been measured, one of a single run by its validation curve, at a third of its training.
Nothing of a training is another one by it: its rate falls over all of its steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from softprompt.compare.cells import Cell, digest_of_text
from softprompt.compare.choice import Choice, Score, chosen
from softprompt.compare.executor import Event, Executor
from softprompt.compare.halving import is_cut, rung_of
from softprompt.compare.queue import work_off
from softprompt.compare.ranges import Range, Value, default_of, usual_ranges, with_values
from softprompt.compare.study import Trial, Trials
from softprompt.compare.tried import early, ended, measured
from softprompt.errors import Interrupted, SoftPromptError
from softprompt.files.places import METRICS, TRIALS
from softprompt.files.strict_json import dumps
from softprompt.progress import Progress
from softprompt.tasks.data.folds import Fold
from softprompt.training.finished import RunMetrics, read_metrics
from softprompt.training.fitting.kept_files import forget_kept
from softprompt.training.options import training_options


@dataclass(frozen=True)
class Search:
    """What is searched, and for how long.

    Attributes:
        cell: with all that is set; its name and folder are nobody's.
        ranges: that are searched; empty for the usual ones.
        folds: that each trial is measured on; 1 for the validation rows.
        trials: at most, the default among them; None for as many as the minutes allow.
        minutes: after which no trial is begun; None for as long as the trials take.
        workers: processes that work at a time.
        folder: of the search.
        halving: trials are judged on their way, and some go no further.
    """

    cell: Cell
    ranges: tuple[Range, ...]
    folds: int
    trials: int | None
    minutes: float | None
    workers: int
    folder: Path
    halving: bool = False

    @property
    def at_once(self) -> int:
        """Trials that run side by side; what is proposed follows from the trials before these."""
        return max(1, self.workers // self.folds)

    def cells_of(self, trial: Trial, ranges: Sequence[Range], *, to_rung: bool = False) -> tuple[Cell, ...]:
        """The cells of a trial; those of the default set nothing of what is searched.

        Args:
            trial: whose they are.
            ranges: that are searched.
            to_rung: those, and so much of them, by which a trial is judged on its way.
        """
        values = trial.values if trial.number else {}
        made = with_values(self.cell, ranges, values)
        if to_rung and self.folds == 1:
            made = made.model_copy(update={"pause": rung_of(training_options(made.training_options).evaluations)})
        name = f"{trial.number:03d}-{digest_of_text(dumps(sorted(values.items()), indent=None))[:8]}"
        count = max(1, self.folds // 2) if to_rung else self.folds
        places = [(f"{name}-{place + 1}of{self.folds}" if self.folds > 1 else name) for place in range(count)]
        return tuple(
            made.model_copy(
                update={"name": one, "folder": str(self.folder / TRIALS / one), "fold": Fold(place, self.folds)}
            )
            for place, one in enumerate(places)
        )


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        ranges: that were searched.
        trials: all of them.
        choice: among those.
        metric: the task's main one.
    """

    ranges: tuple[Range, ...]
    trials: tuple[Trial, ...]
    choice: Choice
    metric: str

    @property
    def values(self) -> Mapping[str, Value]:
        """The options of what was taken; none where it is the default."""
        return self.trials[self.choice.place].values if self.choice.place else {}

    @property
    def seconds(self) -> float:
        """That the trials' cells took."""
        return sum(one.seconds for one in self.trials)


class Searching:
    """A search at work.

    Args:
        search: what is searched.
        asked: what it is of, for a search that goes on.
        executor: that trains cells.
        show: progress.
        stopping: whether it was asked to stop since it was last called.
    """

    def __init__(
        self,
        search: Search,
        asked: Mapping[str, JsonValue],
        executor: Executor[Cell],
        show: Progress,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """See the class."""
        self._search, self._executor, self._show, self._stopping = search, executor, show, stopping
        self._told, self._stop, self._metric = set[str](), False, ""
        over: list[JsonValue] = [one.told() for one in search.ranges]
        own = {**asked, "over": over, "folds": search.folds, "seed": search.cell.seed}
        own |= {"halving": True} if search.halving else {}
        self._trials = Trials(search.folder, search.cell.seed, own)

    def run(self) -> Found:
        """Try the default first, then what the sampler proposes, and choose.

        Raises:
            SoftPromptError: the default failed.
            Interrupted: it was asked to stop.
        """
        default, seconds = Trial(0, {}), 0.0
        cells = self._search.cells_of(default, ())
        if not self._trials.all:
            self._show.say(f"trial 0: the default, {_counted(self._search.folds)}")
            seconds, line = self._done([default], ())[0]
            if line:
                raise SoftPromptError(f"the default itself failed: {line}")
        record = read_metrics(Path(cells[0].folder) / METRICS)
        self._metric = record.metric
        ranges = self._search.ranges or usual_ranges(self._search.cell, record.options)
        if not self._trials.all:
            inside = {one.name: one.place_of(default_of(one, self._defaults(record))) for one in ranges}
            values = {name: value for name, value in inside.items() if value is not None}
            on_the_way = self._early(default, ()) if self._search.halving else None
            scores = tuple(self._scores(default, ()))
            self._trials.add_default(ranges, Trial(0, values, scores, seconds, early=on_the_way))
        self._show.say("searched: " + ", ".join(one.told() for one in ranges))
        self._go_on(ranges)
        forget_kept(Path(cells[0].folder).parent)
        return self._choice(ranges, record.metric)

    def _defaults(self, record: RunMetrics) -> Mapping[str, Mapping[str, JsonValue]]:
        """The options of the default, those among them that no recipe has."""
        plain = training_options(self._search.cell.training_options).model_dump(mode="json")
        return {**record.options, "training": {**plain, **record.options["training"]}}

    def _go_on(self, ranges: Sequence[Range]) -> None:
        """Finish what runs, and try more until there are enough."""
        while True:
            known = self._trials.all
            running = [one for one in known if one.scores is None]
            if not running and self._enough(known):
                return
            while not (running and (len(known) - 1) % self._search.at_once == 0) and not self._full(known):
                running.append(self._trials.ask(ranges))
                known = self._trials.all
            going = self._halved(running, ranges) if self._search.halving else running
            for trial, (seconds, line) in zip(going, self._done(going, ranges), strict=True):
                self._trials.tell(trial.number, [] if line else self._scores(trial, ranges), seconds, line)
                self._tell(trial.number)

    def _halved(self, running: Sequence[Trial], ranges: Sequence[Range]) -> list[Trial]:
        """The trials that go on beyond the rung, once all have come there; each is judged by those before it."""
        fresh = [one for one in running if one.early is None]
        for trial, (seconds, line) in zip(fresh, self._done(fresh, ranges, to_rung=True), strict=True):
            if line:
                self._trials.tell(trial.number, [], seconds, line)
                self._tell(trial.number)
            else:
                self._trials.report(trial.number, self._early(trial, ranges), seconds)
        known, going = self._trials.all, list[Trial]()
        for own in [known[one.number] for one in running if known[one.number].scores is None]:
            so_far = [one.early for one in known[: own.number + 1] if one.early is not None]
            if own.early is not None and is_cut(so_far):
                self._trials.cut(own.number)
                self._tell(own.number)
            else:
                going.append(own)
        return going

    def _early(self, trial: Trial, ranges: Sequence[Range]) -> float | None:
        cells = self._search.cells_of(trial, ranges, to_rung=True)
        if self._search.folds > 1:
            return sum(value for value, _ in measured(cells, self._search.folds)) / len(cells)
        return early(cells[0], self._metric)

    def _full(self, known: Sequence[Trial]) -> bool:
        return self._search.trials is not None and len(known) >= self._search.trials

    def _enough(self, known: Sequence[Trial]) -> bool:
        """Whether no more trials are begun: so many were, or so long did they take with the workers there are."""
        search = self._search
        spent = sum(one.seconds for one in known) / min(search.workers, search.folds * search.at_once)
        return self._full(known) or (search.minutes is not None and spent >= 60 * search.minutes)

    def _done(
        self, trials: Sequence[Trial], ranges: Sequence[Range], *, to_rung: bool = False
    ) -> list[tuple[float, str]]:
        """Have the cells of trials done; of each trial the seconds, and the line of its fault.

        Raises:
            Interrupted: some did not end.
        """
        cells = {one.number: self._search.cells_of(one, ranges, to_rung=to_rung) for one in trials}
        every = [cell for own in cells.values() for cell in own]
        with self._show.work("cells of trials", len(every), "cells") as tick:

            def hear(event: Event) -> None:
                if event.kind in ("done", "failed", "paused"):
                    tick(1, note=event.job)
                if event.kind in ("told", "lost") and event.line not in self._told:
                    self._told.add(event.line)  # most trials have the same warnings
                    self._show.say(f"{event.job}: {event.line}")

            ends = work_off(every, self._executor, hear, self._asked)
        if self._stop or any(cell.name not in ends or ends[cell.name].kind == "stopped" for cell in every):
            count = sum(one.scores is not None for one in self._trials.all)
            raise Interrupted(f"{count} trials have ended in {self._search.folder}; run the same again to go on")
        return [ended(cells[one.number], ends, one.seconds) for one in trials]

    def _asked(self) -> bool:
        """Whether it was asked to stop since; an executor that was stopped is given nothing more."""
        asked = self._stopping()
        self._stop |= asked
        return asked

    def _measured(self, trial: Trial, ranges: Sequence[Range]) -> list[Score]:
        return measured(self._search.cells_of(trial, ranges), self._search.folds)

    def _scores(self, trial: Trial, ranges: Sequence[Range]) -> list[float]:
        return [value for value, _ in self._measured(trial, ranges)]

    def _choice(self, ranges: tuple[Range, ...], metric: str) -> Found:
        trials = tuple(self._trials.all)
        scores = [self._measured(one, ranges) if one.scores else [] for one in trials]
        return Found(ranges, trials, chosen(scores), metric)

    def _tell(self, number: int) -> None:
        """A line of a trial that ended."""
        known = self._trials.all
        one, best = known[number], max(two.mean for two in known if two.scores)
        words = ", ".join(f"{name}={_short(value)}" for name, value in one.values.items())
        if one.cut:
            told = f"goes no further, it had come to {one.early:.3f}"
        else:
            beside = f"(default {known[0].mean:.3f}, best {best:.3f})"
            told = f"{one.mean:.3f} {beside}" if one.scores else f"failed: {one.line}"
        self._show.say(f"trial {number}: {words}: {told}")


def _counted(folds: int) -> str:
    return "measured on the validation rows" if folds == 1 else f"measured on {folds} folds that are held out in turn"


def _short(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
