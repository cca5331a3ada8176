"""Metrics of an attached prompt on labelled rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import NoneType
from typing import NamedTuple

from pydantic import JsonValue

from softprompt.attached.model import PromptedModel
from softprompt.errors import SoftPromptError
from softprompt.guards.kinds import check_kind, several
from softprompt.inference.batches import Tick
from softprompt.inference.predict import predict
from softprompt.readouts import Item, Outcome, Readout
from softprompt.readouts.free_text import Beams, FreeText
from softprompt.storage.prompt import Prompt
from softprompt.tasks import Row, Task
from softprompt.tasks import evaluate as metrics
from softprompt.tasks.facts import FACT
from softprompt.tasks.scoring import check_libraries

Scores = dict[str, JsonValue]  # the metrics of a task by name, `rows`, `interval`, `loss`, and what is told beside them


def figure(scores: Scores, name: str) -> float:
    """A metric, a number."""
    value = scores[name]
    assert isinstance(value, (int, float)), name
    return value


def loss_of(scores: Scores) -> float | None:
    """The mean loss; None where there is none."""
    return None if scores.get("loss") is None else figure(scores, "loss")


def interval_of(scores: Scores) -> list[float]:
    """The ends of the main metric's interval."""
    ends = scores["interval"]
    assert isinstance(ends, list)
    return [end for end in ends if isinstance(end, (int, float))]


class Scored(NamedTuple):
    """Labelled rows that were answered once: the metrics, and the answers that these were made of."""

    scores: Scores
    outcomes: list[Outcome]


def scored(
    prompted: PromptedModel,
    readout: Readout,
    task: Task,
    rows: Sequence[Row],
    *,
    batch_size: int = 32,
    tick: Tick | None = None,
    items: Sequence[Item] | None = None,
) -> Scored:
    """The metrics of `metrics_of`, with the answers to the rows."""
    check_libraries(task)
    found = predict(prompted, readout, rows, batch_size=batch_size, tick=tick, items=items)
    result = score(task, rows, found)
    if readout.seen is not None:
        result["seen_rows"] = readout.seen.count(rows)
    return Scored(result, found)


def metrics_of(
    prompted: PromptedModel,
    readout: Readout,
    task: Task,
    rows: Sequence[Row],
    *,
    batch_size: int = 32,
    tick: Tick | None = None,
    items: Sequence[Item] | None = None,
) -> Scores:
    """Every metric of the task, the rows, the main metric's 95 % interval and the mean loss.

    With the readout of a trained prompt also `seen_rows`: on how many of the rows the prompt was trained or chosen,
    None where it does not know all of them. They are scored with the others; `Prompt.unseen` leaves them out.
    """
    return scored(prompted, readout, task, rows, batch_size=batch_size, tick=tick, items=items).scores


def search(readout: Readout | None, number: int | None, length_penalty: float | None) -> None:
    """Have a readout write its answers with another beam search than it was trained with.

    Args:
        readout: of a prompt for a task of free text.
        number: of beams; None leaves it as it is.
        length_penalty: of beams, likewise.

    Raises:
        SoftPromptError: the prompt writes no text, or the penalty is not finite.
    """
    if number is None and length_penalty is None:
        return
    if not isinstance(readout, FreeText):
        raise SoftPromptError("--num-beams and --length-penalty are for prompts that write text: leave them out")
    if length_penalty is not None and not math.isfinite(length_penalty):
        raise SoftPromptError(f"--length-penalty {length_penalty}: give a number, as 0.8")
    own = readout.beams
    readout.beams = Beams(
        own.number if number is None else number, own.length_penalty if length_penalty is None else length_penalty
    )


def evaluate(prompt: Prompt, rows: Sequence[Row], *, task: Task | None = None, batch_size: int = 32) -> Scores:
    """Score a prompt on labelled rows: one that is loaded, or one that nobody has trained (`sp.untrained`).

    Args:
        prompt: with a task.
        rows: labelled ones.
        task: whose metrics are taken; by default the prompt's own.
        batch_size: rows a forward pass.

    Returns:
        What `metrics_of` gives.

    Raises:
        SoftPromptError: the prompt was saved without a task, or answers with other labels than the task has.

    Example:
        >>> sp.evaluate(prompt, task.splits().test)["rows"]
        4
    """
    rows = given_rows("evaluate", prompt, (Task, NoneType), task, rows)
    own = prompt.task if task is None else task
    if own is None or prompt.readout is None:
        raise SoftPromptError("this prompt was saved without a task, so nothing can be scored")
    if prompt.task is not None:
        check_labels(own, prompt.task)
    with prompt.attached() as prompted:
        return metrics_of(prompted, prompt.readout, own, rows, batch_size=batch_size)


def given_rows(
    caller: str, prompt: object, kind: type | tuple[type, ...], task: object, rows: Sequence[Row]
) -> list[Row]:
    """The rows that a public call was given with a prompt and a task, which is of a kind.

    Raises:
        SoftPromptError: one of the three is something else.
    """
    check_kind(caller, "prompt", prompt, Prompt)
    check_kind(caller, "task", task, kind)
    return several(caller, "rows", rows, Row)


def check_labels(task: Task, own: Task) -> None:
    """Make sure that a task's metrics can be made of a prompt's answers, which are numbers of its own labels.

    Args:
        task: of the rows.
        own: the prompt's.

    Raises:
        SoftPromptError: it has other labels, or has them in another order.
    """
    if task.kind != own.kind or task.label_values != own.label_values:
        raise SoftPromptError(
            f"task {task.name!r} has labels {', '.join(task.label_values) or 'none'}, but the prompt answers with "
            f"{', '.join(own.label_values) or 'none'}: name a task with the same labels, in the same order"
        )


def score(task: Task, rows: Sequence[Row], found: Sequence[Outcome]) -> Scores:
    """Every metric of the task for answers that are there already.

    Facts whose right answers are no candidates are left out, and counted as `outside_vocabulary`, as LAMA does.
    Where answers of different lengths were compared, also the accuracy by the other scoring: `acc_norm` beside answers
    by `acc`, and the other way round.
    """
    whole = len(found)
    if task.kind == FACT:
        rows, found = _within(task, rows, found)
    result: Scores = dict(metrics(task, rows, [outcome.scored for outcome in found]))
    if task.kind == FACT:
        result["outside_vocabulary"] = whole - len(found)
    others = [outcome.otherwise for outcome in found if outcome.otherwise is not None]
    if len(others) == len(found):
        plain = task.model_copy(update={"metrics": ("accuracy",)})
        result[others[0][0]] = metrics(plain, rows, [place for _, place in others])["accuracy"]
    losses = [outcome.loss for outcome in found if outcome.loss is not None]
    result["loss"] = sum(losses) / len(losses) if losses else None
    return result


def _within(task: Task, rows: Sequence[Row], found: Sequence[Outcome]) -> tuple[list[Row], list[Outcome]]:
    """The rows of which a right answer is a candidate, and their answers."""
    kept = [(row, one) for row, one in zip(rows, found, strict=True) if one.rank != 0]
    if not kept:
        raise SoftPromptError(
            f"task {task.name!r}: no right answer of its {len(rows)} rows is one token of the vocabulary, so that "
            "nothing can be scored: give other rows, another vocabulary or another backbone"
        )
    return [row for row, _ in kept], [one for _, one in kept]
