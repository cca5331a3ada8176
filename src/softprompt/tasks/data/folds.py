"""Training and validation rows divided again into folds, one of which is held out: nested validation.

Of each fold's run the rest is divided into rows to train on and rows to choose the best state by, in the proportion of
the task's own division (Varma & Simon 2006, https://doi.org/10.1186/1471-2105-7-91: what was chosen by some rows scores
too well on them). So no held-out row has a part in what is measured on it, and each row is held out once. The
task's own test rows are in none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

from softprompt.errors import SoftPromptError
from softprompt.tasks.data.sampling import divide, stratum_of, take, too_few_groups
from softprompt.tasks.data.splits import DataSource
from softprompt.tasks.definition import TaskDefinition
from softprompt.tasks.rows import Row, Splits


class Fold(NamedTuple):
    """One of several folds.

    Attributes:
        place: of the fold, from 0.
        folds: how many. Of a single one nothing is held out: there are no test rows at all.
    """

    place: int
    folds: int


_WHOLE = Fold(0, 1)


@dataclass(frozen=True)
class FoldedSource(DataSource):
    """A source whose training and validation rows are divided again.

    Attributes:
        fold: that is held out.
    """

    fold: Fold = _WHOLE

    def splits(self, task: TaskDefinition, seed: int, *, few_shot: bool = True) -> Splits:
        """The rows of the fold's run; see `softprompt.tasks.data.folds`."""
        return folded(task, DataSource.splits(self, task, seed, few_shot=few_shot), self.fold)


def of_fold(source: DataSource, fold: Fold) -> FoldedSource:
    """A source whose training and validation rows are divided again.

    Args:
        source: of the task's own division.
        fold: that is held out.
    """
    return FoldedSource(**{one.name: getattr(source, one.name) for one in fields(DataSource)}, fold=fold)


def folded(task: TaskDefinition, splits: Splits, fold: Fold) -> Splits:
    """Hold a fold of the training and validation rows out; the classes keep their shares and groups stay whole.

    Args:
        task: whose classes they are.
        splits: the task's own division, whose test rows are left out.
        fold: that is held out as the test rows of the result.

    Raises:
        SoftPromptError: too few rows or groups, or rows with several right answers, of which training has others than
            validation.
    """
    place, count = fold
    if count == 1:
        return replace(splits, test=[])
    if task.references:
        raise SoftPromptError(
            f"task {task.name!r} teaches each of a row's right answers, so it has no folds: ask for 1"
        )
    pool = [*splits.train, *splits.validation]
    if len(pool) < 3 * count:
        raise SoftPromptError(
            f"task {task.name!r}: {len(pool)} training and validation rows are too few for {count} folds: ask for fewer"
        )
    stratum, rest, held = stratum_of(task), pool, list[Row]()
    for one in range(place + 1):
        rest, held = take(rest, round(len(rest) / (count - one)), stratum, f"{splits.seed} fold {one}")
    if not held:
        raise too_few_groups(pool)
    kept = _without(pool, held)
    share = len(splits.validation) / len(pool)
    own = f"{splits.seed} fold {place} validation"
    train, validation = divide(kept, max(1, round(len(kept) * share)), stratum, own)
    return replace(splits, train=train, validation=validation, test=held)


def _without(rows: Sequence[Row], held: Sequence[Row]) -> list[Row]:
    """The rows without these very ones, whatever reads like them."""
    known = set(map(id, held))
    return [row for row in rows if id(row) not in known]
