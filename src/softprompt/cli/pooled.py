"""`softprompt evaluate --pooled`: deep prompts behind pooled tokens of the text, a line for each number of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.common import emit, interval, table, tell
from softprompt.cli.settings import whole_numbers

if TYPE_CHECKING:
    from pydantic import JsonValue

    from softprompt.cli.scoring import Asked, Stored
    from softprompt.evaluation.pooled import PooledScores
    from softprompt.progress import Progress
    from softprompt.storage.prompt import Prompt

PooledCounts = Annotated[
    str | None,
    typer.Option("--pooled", help="put m pooled tokens in front of a deep prompt, untrained, for each m: 0,1,2,3,4,10"),
]


def wanted_counts(text: str | None, stored: Stored) -> list[int]:
    """The numbers of pooled tokens that were asked for; none without the option.

    Raises:
        SoftPromptError: no such numbers, or a prompt of a method that cannot have them.
    """
    if text is None:
        return []
    counts = whole_numbers(text, "--pooled", "0,1,2,3,4,10")
    from softprompt.evaluation.pooled import check_pooled

    check_pooled(stored.method.name, counts)
    return counts


def tell_pooled(
    prompt: Prompt,
    asked: Asked,
    counts: list[int],
    show: Progress,
    *,
    batch_size: int,
    own: dict[str, JsonValue] | None,
) -> None:
    """Score the prompt behind each number of pooled tokens, and print the table.

    Args:
        prompt: of the method `deep_prompt`.
        asked: the rows.
        counts: of pooled tokens.
        show: where the work is shown.
        batch_size: rows a forward pass.
        own: what JSON tells of the prompt; None for a table.
    """
    from softprompt.evaluation.pooled import pooled_metrics

    with show.work("pooled tokens", len(set(counts)) * len(asked.rows), "rows") as tick:
        found = pooled_metrics(prompt, asked.rows, counts, task=asked.task, batch_size=batch_size, tick=tick)
    if own is None:
        _report(prompt, asked, found)
        return
    each = [{"pooled": one.pooled, "cut_rows": one.cut_rows, **one.scores} for one in found]
    emit({**asked.record, **own, "metric": asked.task.metric, "pooled": each})


def _report(prompt: Prompt, asked: Asked, found: list[PooledScores]) -> None:
    from softprompt.evaluation.score import figure, loss_of

    task, name = asked.task, prompt.method.name
    others = [metric for metric in task.metrics if metric != task.metric]
    table(
        f"{name} on {task.name} behind pooled tokens ({asked.name}, {len(asked.rows)} rows)",
        ["pooled tokens", f"{task.metric} [95 % interval]", *others, "loss", "rows cut"],
        [
            [
                str(one.pooled),
                interval(one.scores, task.metric),
                *(f"{figure(one.scores, metric):.3f}" for metric in others),
                "-" if loss_of(one.scores) is None else f"{loss_of(one.scores):.3f}",
                str(one.cut_rows),
            ]
            for one in found
        ],
        right=(0, *range(2, len(others) + 4)),
    )
    tell("untrained: before each layer so many means of its text stand in front of the trained vectors")
