"""What there is to say of a prompt in short: for a prompt of Python, and a notebook's cell."""

from __future__ import annotations

from collections.abc import Mapping

from softprompt.guards.summaries import Summary
from softprompt.methods.base import Method
from softprompt.tasks import Task
from softprompt.tasks.seen import SeenRows


def summary_of(method: Method, task: Task | None, meta: Mapping[str, object], seen: SeenRows, stored: int) -> Summary:
    """A prompt's summary.

    Args:
        method: with its options.
        task: that it was trained for, or None.
        meta: what its file tells besides.
        seen: the rows that it was trained and chosen on.
        stored: scalars in its file.
    """
    options = ", ".join(f"{name} {value}" for name, value in method.in_use().items())
    facts = [("options", options or "none"), ("stored", f"{stored:,} scalars")]
    if task is not None:
        facts.append(("answers", task.answers_in_words()))
        facts += measured("measured", task.metric, meta.get("metrics"))
    if seen.division is not None:
        facts.append(("rows", f"{len(seen.train)} trained on, {len(seen.validation)} chosen on"))
    if isinstance(meta.get("backbone_name"), str):
        facts.append(("backbone", str(meta["backbone_name"])))
    return Summary(f"Prompt: {method.name}" + ("" if task is None else f" for {task.name}"), facts)


def measured(name: str, metric: str, figures: object) -> list[tuple[str, str]]:
    """A fact of what was measured, or none where nothing was.

    Args:
        name: of the fact.
        metric: the main one.
        figures: metrics by name, with their interval and rows.
    """
    if not isinstance(figures, Mapping) or not isinstance(figures.get(metric), (int, float)):
        return []
    ends = figures.get("interval")
    interval = f" [{ends[0]:.3f}, {ends[1]:.3f}]" if isinstance(ends, (list, tuple)) else ""
    return [(name, f"{metric} {figures[metric]:.3f}{interval} on {figures.get('rows')} rows")]
