"""What stands behind a score: each class's own, which classes are taken for which, and the worst mistakes.

It is made of answers that are there already. Precision, recall and F1 of a class are 0 where nothing is there to divide
by, as the metrics have it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from softprompt.errors import shortened
from softprompt.inference.predict import in_words
from softprompt.readouts import Outcome
from softprompt.storage.record import Number, Strict
from softprompt.tasks import Row, Task
from softprompt.tasks.scoring import rows_scored, value_of

MOST_CLASSES = 10  # of a task of more those with the most errors
_MOST_PAIRS, _WORST, _LONGEST = 10, 3, 200


class ClassScores(Strict):
    """How one class fares.

    Attributes:
        label: its value in the data.
        rows: how many rows have it.
        answered: how many rows were given it.
        right: how many of both.
        precision: right of those that were given it.
        recall: right of those that have it.
        f1: of the two.
    """

    label: str
    rows: int = Field(ge=0)
    answered: int = Field(ge=0)
    right: int = Field(ge=0)
    precision: Number
    recall: Number
    f1: Number

    @property
    def errors(self) -> int:
        """Rows that have it and were given another, and those that were given it and have another."""
        return self.rows + self.answered - 2 * self.right


class Confused(Strict):
    """Rows of one class that were given another.

    Attributes:
        label: that they have.
        answer: that they were given.
        rows: how many.
    """

    label: str
    answer: str
    rows: int = Field(ge=1)


class Majority(Strict):
    """What always answering one class reaches.

    Attributes:
        label: the most frequent of the rows.
        score: its main metric.
    """

    label: str
    score: Number


class Mistake(Strict):
    """One wrong answer.

    Attributes:
        file: the name of the row's file, or what its table is called.
        line: its line there, from 1; None where it is not known.
        text: its fields, shortened.
        label: the right answer.
        answer: the one that was given.
        probability: of that one, where there are any.
        score: the row's own by the main metric, of tags the share of its words that is right, or by how much a number
            is off; None for classes.
    """

    file: str
    line: int | None
    text: str
    label: str
    answer: str
    probability: Number | None
    score: Number | None


class Breakdown(Strict):
    """What stands behind a score.

    Attributes:
        split: whose rows these are: `test`, `validation` or another part.
        class_count: how many classes the task has; 0 of other tasks.
        classes: all of them, or of more than ten those with the most errors.
        confusion: rows by label (down) and answer (across), in the order of `classes`; None of more than ten.
        confused: the ten pairs of classes that are taken for one another most often.
        majority: of a classification what always answering its most frequent class reaches.
        worst: three wrong answers: those of the highest probability, the lowest score, or the largest error.
    """

    split: str
    class_count: int = Field(ge=0)
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...] | None
    confused: tuple[Confused, ...]
    majority: Majority | None
    worst: tuple[Mistake, ...]


def breakdown(task: Task, rows: Sequence[Row], found: Sequence[Outcome], split: str) -> Breakdown:
    """What stands behind the score of answers.

    Args:
        task: of the rows.
        rows: labelled ones.
        found: the answer to each.
        split: what the rows are called.
    """
    worst = tuple(_mistake(task, row, outcome, score) for row, outcome, score in _worst(task, rows, found))
    if task.kind != "classification":
        return Breakdown(
            split=split, class_count=0, classes=(), confusion=None, confused=(), majority=None, worst=worst
        )
    names = task.label_values
    pairs = Counter((int(row.value or 0), int(one.value)) for row, one in zip(rows, found, strict=True))
    classes = _classes(names, pairs)
    few = len(names) <= MOST_CLASSES
    confused = sorted(((one, count) for one, count in pairs.items() if one[0] != one[1]), key=lambda pair: -pair[1])
    often = Counter(int(row.value or 0) for row in rows).most_common(1)[0][0]
    return Breakdown(
        split=split,
        class_count=len(names),
        classes=tuple(classes if few else sorted(classes, key=lambda one: -one.errors)[:MOST_CLASSES]),
        confusion=tuple(tuple(pairs[a, b] for b in range(len(names))) for a in range(len(names))) if few else None,
        confused=tuple(Confused(label=names[a], answer=names[b], rows=n) for (a, b), n in confused[:_MOST_PAIRS]),
        majority=Majority(label=names[often], score=value_of(task, rows, [often] * len(rows))),
        worst=worst,
    )


def _classes(names: Sequence[str], pairs: Counter[tuple[int, int]]) -> list[ClassScores]:
    own, given = Counter[int](), Counter[int]()
    for (label, answer), count in pairs.items():
        own[label] += count
        given[answer] += count
    return [
        ClassScores(
            label=name,
            rows=own[index],
            answered=given[index],
            right=pairs[index, index],
            precision=_share(pairs[index, index], given[index]),
            recall=_share(pairs[index, index], own[index]),
            f1=_share(2 * pairs[index, index], own[index] + given[index]),
        )
        for index, name in enumerate(names)
    ]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _worst(task: Task, rows: Sequence[Row], found: Sequence[Outcome]) -> Iterator[tuple[Row, Outcome, float | None]]:
    """The worst answers of all that are wrong; of equal ones the first."""
    told: list[tuple[tuple[float, ...], int, float | None]] = []
    scored = task.kind not in ("classification", "regression")
    scores = rows_scored(task, rows, [one.scored for one in found]) if scored else ()
    for place, (row, one) in enumerate(zip(rows, found, strict=True)):
        if task.kind == "regression":
            off = abs(float(one.value) - float(row.value or 0))
            told += [((-off,), place, off)] if off else []
        elif task.kind == "classification":
            told += [((-_probability(one),), place, None)] if one.value != row.value else []
        elif scores[place] < 1 and one.rank != 0:  # a fact that no score counts is no mistake
            told.append(((scores[place], -_probability(one), -(one.loss or 0.0)), place, scores[place]))
    for _, place, score in sorted(told, key=lambda entry: entry[:2])[:_WORST]:
        yield rows[place], found[place], score


def _probability(outcome: Outcome) -> float:
    """Of the answer; 0 where it has none of its own."""
    if outcome.probabilities is None or isinstance(outcome.prediction, tuple):
        return 0.0
    return outcome.probabilities[0 if isinstance(outcome.prediction, str) else int(outcome.prediction)]


def _mistake(task: Task, row: Row, outcome: Outcome, score: float | None) -> Mistake:
    answer = in_words(task, row, outcome)
    return Mistake(
        file=Path(row.file).name,
        line=row.line or None,
        text=text_of(row),
        label=_short(right_answer(task, row)),
        answer=_short(answer.label),
        probability=answer.probability,
        score=score,
    )


def right_answer(task: Task, row: Row) -> str:
    """The right answer of a labelled row, in the words of its data."""
    if task.kind == "tags" and isinstance(row.label, tuple):
        return " ".join(task.label_words()[tag] for tag in row.label)
    if task.kind == "classification":
        return task.label_values[int(row.value or 0)]
    return f"{row.value:.4g}" if task.kind == "regression" else " | ".join(row.answers)


def text_of(row: Row, longest: int = _LONGEST) -> str:
    """The fields as one text of so many characters at most; of several each with its name."""
    several = len(row.fields) > 1
    share = longest // max(1, len(row.fields))
    return "  ".join(
        f"{name}: {_short(text, share)}" if several else _short(text, longest) for name, text in row.fields.items()
    )


def _short(text: str, limit: int = _LONGEST) -> str:
    """One line of so many characters at most."""
    return shortened(" ".join(text.split()), max(limit, 20))
