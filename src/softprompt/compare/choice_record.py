"""What a choice of a method tells of itself: what came into question, what was measured, and why one was taken."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, ValidationError

from softprompt.compare.shortlist import Candidate, PassedOver
from softprompt.errors import SoftPromptError
from softprompt.files import strict_json
from softprompt.files.documents import read_document
from softprompt.files.places import CHOICE
from softprompt.files.whole import write_json
from softprompt.storage.record import Strict, fault

_MEND = "restore the file, or choose another output"


class Tried(Candidate):
    """A method of the shortlist, and what became of it.

    Attributes:
        state: it is `open`, to be measured; `measured` on all folds; `dropped`, clearly behind; `late`, there was no
            time; or `failed`.
        fold_seconds: that a fold's run was expected to take; None where that was not looked at.
        run_seconds: likewise, the run on all rows.
        scores: of the folds, each by itself.
        score: of the held-out rows of all these folds together.
        error: the standard error of the score.
        seconds: that its folds took.
        why: it is not the one that was taken, or is.
    """

    state: Literal["open", "measured", "dropped", "late", "failed"] = "open"
    fold_seconds: float | None = None
    run_seconds: float | None = None
    scores: tuple[float, ...] = ()
    score: float | None = None
    error: float | None = None
    seconds: float = 0.0
    why: str = ""

    @property
    def label(self) -> str:
        """The method with what is set of it."""
        told = {**self.method_options, **self.training_options}
        return ",".join([self.method, *(f"{name}={value}" for name, value in told.items())])


class ChoiceRecord(Strict):
    """What `choice.json` holds.

    Attributes:
        asked: what the choice is of.
        minutes: the budget, for the choice and the run after it.
        metric: the task's main one.
        folds: that each method was measured on.
        tried: the shortlist in its order, and behind it the one that led with other rates.
        left_out: the other methods.
        seconds: that the choice took.
        taken: place of what was taken among `tried`; None before that.
        why: it was taken.
    """

    asked: dict[str, JsonValue]
    minutes: float
    metric: str
    folds: int
    tried: tuple[Tried, ...] = Field(min_length=1)
    left_out: tuple[PassedOver, ...]
    seconds: float = 0.0
    taken: int | None = None
    why: str = ""

    @property
    def chosen(self) -> Tried:
        """What was taken."""
        assert self.taken is not None
        return self.tried[self.taken]

    def write(self, folder: Path) -> None:
        """Write the file."""
        write_json(folder / CHOICE, self.model_dump(mode="json"))


def read_choice(folder: Path) -> ChoiceRecord:
    """The record in a folder.

    Raises:
        SoftPromptError: there is none, or it is not as it was written.
    """
    path = folder / CHOICE
    found = read_document(path, _MEND)
    try:
        record = ChoiceRecord.model_validate_json(strict_json.dumps(found))
    except ValidationError as error:
        raise SoftPromptError(f"{path}: {fault(error, found)}: {_MEND}") from None
    if record.taken is not None and not 0 <= record.taken < len(record.tried):
        raise SoftPromptError(f"{path}: taken: there are {len(record.tried)} methods, not {record.taken}: {_MEND}")
    return record
