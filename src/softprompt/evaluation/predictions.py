"""`predictions.json` of a run: the right answer and the given one of each test row, so that runs compare row by row.

The file tells what the metrics are made of, and none of the rows' texts but those of answers: columns of one entry a
row, in the order of the rows, and of the task what its metrics ask (`tasks.metrics.Scored`). Rows that a metric leaves
out (a fact whose right answers are no candidates) are not among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError, model_validator

from softprompt.errors import SoftPromptError
from softprompt.files import strict_json
from softprompt.files.documents import plain, read_record
from softprompt.files.manifest import SEAL, sealed
from softprompt.files.whole import write_json
from softprompt.readouts import Outcome
from softprompt.storage.record import Strict, fault
from softprompt.tasks import Row, Task
from softprompt.tasks.facts import FACT
from softprompt.tasks.metrics import METRICS, Array
from softprompt.tasks.rows import Label
from softprompt.tasks.scoring import sums_of_units

PREDICTIONS = "predictions.json"
_MEND = "delete the file (tests are then by seeds alone), or train again in another folder"


class Predictions(Strict):
    """The answers to the test rows; a column that no row needs is empty.

    Attributes:
        kind: of the task.
        labels: label words by label value, in the order of the class indices.
        positive: the label value that `f1` scores; the last one where None.
        label: the right answer of each row, as `Row.label`.
        prediction: the given answer of each row, as metrics take it (`tasks.scoring.evaluate`).
        answers: every right answer's text.
        choices: the candidates.
        group: rows of one group are scored together.
    """

    kind: str
    labels: dict[str, str]
    positive: str | None = None
    label: tuple[Label, ...]
    prediction: tuple[Label, ...]
    answers: tuple[tuple[str, ...], ...] = ()
    choices: tuple[tuple[str, ...], ...] = ()
    group: tuple[str | None, ...] = ()

    @model_validator(mode="after")
    def _of_one_length(self) -> Predictions:
        for name in ("prediction", "answers", "choices", "group"):
            column = getattr(self, name)
            if len(column) != len(self.label) and (column or name == "prediction"):
                raise ValueError(f"{name} has {len(column)} entries and label {len(self.label)}")
        if self.kind == "classification":
            known = range(len(self.labels))
            strange = next((one for one in (*self.label, *self.prediction) if one not in known), None)
            if strange is not None:
                raise ValueError(f"{strange!r} is no class of {len(known)}")
        return self

    @classmethod
    def of(cls, task: Task, rows: Sequence[Row], found: Sequence[Outcome]) -> Predictions:
        """Those of labelled rows that were answered."""
        pairs = [pair for pair in zip(rows, found, strict=True) if task.kind != FACT or pair[1].rank != 0]
        kept = [row for row, _ in pairs]
        return cls(
            kind=task.kind,
            labels=dict(task.labels),
            positive=task.positive,
            label=tuple(_plain(row.label) for row in kept),
            prediction=tuple(_plain(one.scored) for _, one in pairs),
            answers=tuple(row.answers for row in kept) if any(row.answers for row in kept) else (),
            choices=tuple(row.choices or () for row in kept) if any(row.choices for row in kept) else (),
            group=tuple(row.group for row in kept) if any(row.group is not None for row in kept) else (),
        )

    def rows(self) -> list[Row]:
        """The rows, without their texts."""
        blank: tuple[None, ...] = (None,) * len(self.label)
        columns = zip(self.label, self.answers or blank, self.choices or blank, self.group or blank, strict=True)
        return [
            Row({}, label, choices, group, index, answers or ())
            for index, (label, answers, choices, group) in enumerate(columns)
        ]

    def sums(self, metric: str) -> Array:
        """What a metric is made of, one vector a unit `(units, S)`: a row, or a group of rows (`tasks.metrics`).

        Raises:
            SoftPromptError: the columns are not those of such a task.
        """
        try:
            return sums_of_units(self, metric, self.rows(), self.prediction)
        except (AssertionError, IndexError, KeyError, TypeError, ValueError) as error:
            raise SoftPromptError(
                f"predictions of a {self.kind} task: {metric} cannot be made of them: {error}"
            ) from None

    def score(self, metric: str) -> float:
        """The metric of all rows."""
        return float(METRICS[metric].value(self.sums(metric).sum(axis=0)))

    def write(self, path: Path) -> None:
        """Write the file, with its checksum."""
        write_json(path, sealed(self.model_dump(mode="json", exclude_defaults=True)))


def read_predictions(path: Path) -> Predictions:
    """The predictions of a run.

    Raises:
        SoftPromptError: no such file, a damaged one, or a column is not what a run writes.
    """
    found = {name: value for name, value in read_record(path, _MEND).items() if name != SEAL}
    try:
        return Predictions.model_validate_json(strict_json.dumps(found))
    except ValidationError as error:
        raise SoftPromptError(f"{path}: {plain(fault(error, found), quote=False)}: {_MEND}") from None


def _plain(label: Label | None) -> Label:
    """A label as JSON has it; a row that is scored has one."""
    assert label is not None
    return label.item() if isinstance(label, np.generic) else label
