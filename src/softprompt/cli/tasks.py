"""`softprompt tasks`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from softprompt.cli.common import all_tasks, emit, quiet, table, tell, tell_faults
from softprompt.cli.completing import tasks_by_name
from softprompt.cli.options import Json

if TYPE_CHECKING:
    from softprompt.tasks import Task


def tasks(
    name: Annotated[str | None, typer.Argument(help="show one task whole", autocompletion=tasks_by_name)] = None,
    json: Json = False,
) -> None:
    """List the tasks of the catalog, or show one with the patterns that --template chooses from.

    Example: softprompt tasks rte
    """
    quiet()
    import yaml

    from softprompt.tasks import Task

    if name is not None:
        shown = _shown(Task.load(name))
        if json:
            emit(shown)
        else:
            for line in yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=98).rstrip("\n").split("\n"):
                tell(line)
        return
    found, faults = all_tasks()
    if json:
        emit([_shown(task) for task in found])
        tell_faults(faults, sys.stderr)
        return
    table(
        "tasks",
        ["name", "kind", "metric", "labels", "what it asks"],
        [[t.name, t.kind, t.metric, ", ".join(t.label_words()), t.description] for t in found],
    )
    tell_faults(faults)


def _shown(task: Task) -> dict[str, Any]:
    """What stands in the task's definition, its patterns last."""
    patterns = {name: one.model_dump(mode="json", exclude_defaults=True) for name, one in task.patterns.items()}
    return {**task.model_dump(mode="json", exclude_defaults=True), **({"patterns": patterns} if patterns else {})}
