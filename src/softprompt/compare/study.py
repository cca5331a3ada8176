"""Trials as Optuna keeps and proposes them (https://optuna.org), in a journal beside the runs.

The sampler is TPE (Bergstra et al. 2011), begun anew for each trial with a seed of its own number: what it proposes
follows from the trials before and not from when a search was stopped. A trial that was killed stands as running in the
journal, with its values: it is gone on with, and never counted twice. The journal is lines of JSON; no pickle.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from optuna import create_study, load_study, logging
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial
from optuna.trial import Trial as RunningTrial
from pydantic import BaseModel, ConfigDict, JsonValue

from softprompt.compare.ranges import Range, Value
from softprompt.errors import SoftPromptError
from softprompt.files.places import JOURNAL
from softprompt.guards.paths import reason

_RANDOM = (
    6  # trials before the sampler leans on any, the default among them: Optuna's 10 would be half of a search of 20
)
_NAME, _ASKED, _KEY = "softprompt", "asked", "trial {}"


class _Told(BaseModel):
    """What is kept of a trial beside its mean."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    scores: tuple[float, ...] = ()
    seconds: float = 0.0
    line: str = ""
    early: float | None = None


class _Held(JournalFileOpenLock):
    """No lock: the search's folder is in the hands of one process, and a killed one would leave its lock behind."""

    def acquire(self) -> bool:
        """It is held."""
        return True

    def release(self) -> None:
        """The folder's holder lets it go."""


@dataclass(frozen=True)
class Trial:
    """A configuration that is tried.

    Attributes:
        number: from 0, the default's.
        values: of the options that are searched; of the default those that lie in their ranges.
        scores: of its cells, in their order; None before it ended, empty where it failed or was cut.
        seconds: that its cells took.
        line: why it failed.
        early: what it came to where it was judged on its way; None before that.
        cut: it went no further there.
    """

    number: int
    values: Mapping[str, Value]
    scores: tuple[float, ...] | None = None
    seconds: float = 0.0
    line: str = ""
    early: float | None = None
    cut: bool = False

    @property
    def mean(self) -> float:
        """Of its scores."""
        assert self.scores
        return sum(self.scores) / len(self.scores)


class Trials:
    """The trials of a search.

    Args:
        folder: of the search.
        seed: of the sampler.
        asked: what the search is of, which must be the same when it goes on.

    Raises:
        SoftPromptError: the journal is of another search, damaged, or cannot be written.
    """

    def __init__(self, folder: Path, seed: int, asked: Mapping[str, JsonValue]) -> None:
        """See the class."""
        logging.set_verbosity(logging.WARNING)
        self._seed, path = seed, folder / JOURNAL
        try:
            _cut(path)
            self._storage = JournalStorage(JournalFileBackend(str(path), lock_obj=_Held(str(path))))
            begun = bool(self._storage.get_all_studies())
            self._study = (
                load_study(study_name=_NAME, storage=self._storage)
                if begun
                else create_study(study_name=_NAME, storage=self._storage, direction="maximize")
            )
            before = self._study.user_attrs.get(_ASKED)
            _ = self.all
        except OSError as error:
            raise SoftPromptError(f"{path}: {reason(error)}: choose another --out") from None
        except (ValueError, KeyError, TypeError, AttributeError, AssertionError):
            raise SoftPromptError(f"{path}: the journal is damaged: restore it, or choose another --out") from None
        if before is None:
            self._study.set_user_attr(_ASKED, dict(asked))
        else:
            _check(before, asked, folder)

    @property
    def all(self) -> list[Trial]:
        """Those that ended and those that run, by number."""
        told = self._study.user_attrs
        return [_trial(one, told.get(_KEY.format(one.number), {})) for one in self._study.get_trials(deepcopy=False)]

    def add_default(self, ranges: Sequence[Range], default: Trial) -> None:
        """Tell the sampler of the default, the first trial.

        Args:
            ranges: that are searched.
            default: that has ended; its values are those that lie in their ranges.
        """
        kept = {one.name: _distribution(one) for one in ranges if one.name in default.values}
        told = _Told(scores=default.scores or (), seconds=default.seconds, early=default.early)
        self._note(0, told)
        self._study.add_trial(create_trial(value=default.mean, params=dict(default.values), distributions=kept))

    def ask(self, ranges: Sequence[Range]) -> Trial:
        """A new trial."""
        number = len(self._study.get_trials(deepcopy=False))
        self._study.sampler = TPESampler(n_startup_trials=_RANDOM, seed=self._seed + number, constant_liar=True)
        asked = self._study.ask({one.name: _distribution(one) for one in ranges})
        return Trial(asked.number, dict(asked.params))

    def report(self, number: int, early: float | None, seconds: float) -> None:
        """Say what a trial that runs came to where it is judged on its way.

        Args:
            number: of the trial.
            early: what it came to; None of one that cannot be judged.
            seconds: that its cells have taken.
        """
        self._note(number, _Told(seconds=seconds, early=early))

    def tell(self, number: int, scores: Sequence[float], seconds: float, line: str = "") -> None:
        """Say how a trial ended; one without scores failed.

        Args:
            number: of the trial.
            scores: of its cells.
            seconds: that they took.
            line: why it failed.
        """
        early = self.all[number].early
        self._note(number, _Told(scores=tuple(scores), seconds=seconds, line=line, early=early))
        if scores:
            self._study.tell(number, sum(scores) / len(scores))
        else:
            self._study.tell(number, state=TrialState.FAIL)

    def cut(self, number: int) -> None:
        """Say that a trial, of which was reported what it came to, goes no further."""
        frozen, early = self._study.get_trials(deepcopy=False)[number], self.all[number].early
        assert early is not None
        if not frozen.intermediate_values:  # a kill may have come between the two lines
            study = self._storage.get_study_id_from_name(_NAME)
            key = self._storage.get_trial_id_from_study_id_trial_number(study, number)
            RunningTrial(self._study, key).report(early, 1)
        self._study.tell(number, state=TrialState.PRUNED)

    def _note(self, number: int, told: _Told) -> None:
        """Keep what Optuna has no place for; before the trial ends, so that none that ended is without."""
        self._study.set_user_attr(_KEY.format(number), told.model_dump(mode="json", exclude_none=True))


def _distribution(one: Range) -> BaseDistribution:
    if one.choices:
        return CategoricalDistribution(one.choices)
    if one.whole:
        return IntDistribution(int(one.low), int(one.high), log=one.log)
    return FloatDistribution(one.low, one.high, log=one.log)


def _trial(one: FrozenTrial, own: Mapping[str, JsonValue]) -> Trial:
    told = _Told.model_validate(own)
    scores = told.scores if one.state.is_finished() else None
    cut = one.state == TrialState.PRUNED
    return Trial(one.number, dict(one.params), scores, told.seconds, told.line, told.early, cut)


def _cut(path: Path) -> None:
    """Take off what a kill left of a line that was being written; Optuna would write the next one behind it."""
    if not path.exists():
        return
    text = path.read_bytes()
    end = text.rfind(b"\n") + 1
    if end < len(text):
        os.truncate(path, end)


def _check(before: Mapping[str, JsonValue], asked: Mapping[str, JsonValue], folder: Path) -> None:
    """Make sure that a search that goes on is the same one."""
    for key in (*asked, *before):
        if before.get(key) != asked.get(key):
            raise SoftPromptError(
                f"{folder}: a search with another {key} ({_shown(before.get(key))} then, {_shown(asked.get(key))} "
                "now): give the same, or choose another --out"
            )


def _shown(value: JsonValue) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
