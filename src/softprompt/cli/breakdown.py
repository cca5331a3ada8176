"""What stands behind a score, as tables: the classes, which are taken for which, and the worst mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from softprompt.cli.common import table, tell
from softprompt.errors import shortened

if TYPE_CHECKING:
    from softprompt.evaluation.breakdown import Breakdown, ClassScores, Mistake
    from softprompt.tasks import Task

_NAME, _TEXT = 24, 120  # characters of a label in a row's head, and of a text
_ACROSS = 6  # classes whose confusion fits the width


def tell_breakdown(found: Breakdown, task: Task) -> None:
    """Print what stands behind a score.

    Args:
        found: of some rows.
        task: whose they are.
    """
    if found.classes:
        _classes(found, task)
        _confusion(found, task)
    if found.majority is not None:
        always = _label(task, found.majority.label)
        tell(f"always answering {always} would score {found.majority.score:.3f} ({task.metric})")
    if found.worst:
        _worst(found, task)


def _classes(found: Breakdown, task: Task) -> None:
    of_all = f", {len(found.classes)} of {found.class_count} classes: those with the most errors"
    table(
        f"by class ({found.split}{of_all if len(found.classes) < found.class_count else ''})",
        ["class", "rows", "right", "precision", "recall", "F1"],
        [_scores(one, task) for one in found.classes],
        right=(1, 2, 3, 4, 5),
    )


def _scores(one: ClassScores, task: Task) -> list[str]:
    shares = (one.precision, one.recall, one.f1)
    return [_label(task, one.label), str(one.rows), str(one.right), *(f"{share:.3f}" for share in shares)]


def _confusion(found: Breakdown, task: Task) -> None:
    """All of it where it fits the width, else the pairs that are confused most."""
    if found.confusion is not None and len(found.confusion) <= _ACROSS:
        width = 60 // len(found.confusion)
        names = [one.label for one in found.classes]
        table(
            "confusion",
            ["label / answer", *(shortened(name, max(width, 8)) for name in names)],
            [[_label(task, name), *map(str, row)] for name, row in zip(names, found.confusion, strict=True)],
            right=range(1, len(names) + 1),
        )
    elif found.confused:
        table(
            "confused most",
            ["label", "answer", "rows"],
            [[_label(task, one.label), _label(task, one.answer), str(one.rows)] for one in found.confused],
            right=(2,),
        )


def _worst(found: Breakdown, task: Task) -> None:
    figures = {"regression": "off by", "generation": task.metric, "tags": "words right"}
    what = "surest mistakes" if task.kind == "classification" else "worst answers"
    table(
        f"{what} ({found.split})",
        ["row", "label", "answer", figures.get(task.kind, "probability"), "text"],
        [_mistake(one, task) for one in found.worst],
        right=(3,),
    )


def _mistake(one: Mistake, task: Task) -> list[str]:
    figure = one.score if one.probability is None else one.probability
    place = one.file if one.line is None else f"{one.file}, line {one.line}"
    labels = [_label(task, one.label), _label(task, one.answer)]
    return [place, *labels, "" if figure is None else f"{figure:.3f}", shortened(one.text, _TEXT)]


def _label(task: Task, value: str) -> str:
    """A label value with its word, as `predict` prints it, or an answer's text."""
    word = task.labels.get(value, value) if task.kind == "classification" else value
    return shortened(value if word == value else f"{value} ({word})", _NAME)
