"""Answers to labelled rows, each with how right it is: what the pictures of a report are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from softprompt.evaluation.breakdown import right_answer, text_of
from softprompt.evaluation.predictions import Predictions
from softprompt.inference.predict import in_words
from softprompt.readouts import Outcome
from softprompt.tasks import Row, Task
from softprompt.tasks.facts import FACT
from softprompt.tasks.scoring import rows_scored

LONGEST = 400  # characters of a row's text
_Z = 1.959963984540054  # the 97.5 % point of the normal distribution


@dataclass(frozen=True)
class Judged:
    """A row and its answer.

    Attributes:
        place: of the row among those that were answered, from 1.
        where: its file and line.
        text: its fields, shortened.
        words: how many words its fields have.
        label: the right answer.
        answer: the given one.
        score: 1 where it is right; a text's share, of tags the share of its words; of a number by how much it is off.
        probability: of the given answer, where there is one.
    """

    place: int
    where: str
    text: str
    words: int
    label: str
    answer: str
    score: float
    probability: float | None


def outcomes_of(found: Predictions) -> list[Outcome]:
    """Recorded answers, without probabilities, which no run records."""
    ranks = [one if found.kind == FACT and isinstance(one, int) else None for one in found.prediction]
    return [Outcome(one, None, None, rank=rank) for one, rank in zip(found.prediction, ranks, strict=True)]


def judged(task: Task, rows: Sequence[Row], found: Sequence[Outcome]) -> list[Judged]:
    """Judge answers.

    Args:
        task: of the rows.
        rows: labelled ones.
        found: the answer to each.
    """
    scores = _scores(task, rows, found)
    made = []
    for place, (row, one, score) in enumerate(zip(rows, found, scores, strict=True), 1):
        answer, probability = _answer(task, row, one)
        where = f"{row.file.rsplit('/', 1)[-1]}:{row.line}" if row.line else ""
        words = sum(len(text.split()) for text in row.fields.values())
        text = text_of(row, LONGEST)
        made.append(Judged(place, where, text, words, right_answer(task, row), answer, score, probability))
    return made


def _scores(task: Task, rows: Sequence[Row], found: Sequence[Outcome]) -> list[float]:
    if task.kind == "regression":
        return [abs(float(one.value) - float(row.value or 0)) for row, one in zip(rows, found, strict=True)]
    if task.kind == "classification":
        return [float(one.value == row.value) for row, one in zip(rows, found, strict=True)]
    return rows_scored(task, rows, [one.scored for one in found])


def _answer(task: Task, row: Row, outcome: Outcome) -> tuple[str, float | None]:
    if task.kind == FACT and outcome.rank is not None and not isinstance(outcome.prediction, str):
        return f"a right one at rank {outcome.rank}" if outcome.rank else "no right one", None
    own = in_words(task, row, outcome)
    return own.label, own.probability


def wilson(right: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (E. B. Wilson, 1927); of no rows from 0 to 1."""
    if not count:
        return 0.0, 1.0
    share, extra = right / count, _Z**2 / count
    middle = (share + extra / 2) / (1 + extra)
    half = _Z * math.sqrt(share * (1 - share) / count + extra / (4 * count)) / (1 + extra)
    return (0.0 if right == 0 else middle - half), (1.0 if right == count else middle + half)
