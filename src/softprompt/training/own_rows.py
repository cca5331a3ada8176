"""The rows that a run was trained, chosen and tested on, read again from where they were."""

from __future__ import annotations

from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.files.places import RUN
from softprompt.tasks import Row, Splits, Task
from softprompt.tasks.data.sampling import at_most
from softprompt.training.begun import RunRecord


def reread(run: Path) -> tuple[Task, Splits]:
    """The task of a run, with its source, and its rows.

    Raises:
        SoftPromptError: they are not on this machine, or the run recorded no place (the hub is not asked); how else to
            give rows is the caller's to say.
    """
    if not (run / RUN).is_file():
        raise SoftPromptError(f"{run / RUN} is missing, which says where the rows are")
    record = RunRecord.read(run)
    places, task = record.places(run), record.task(run)
    data = places["data"]
    if data is None and task.package is None:
        raise SoftPromptError("the rows came from the hub, which is not asked")
    if data is not None and not Path(data).exists():
        raise SoftPromptError(f"the rows were in {data}, where nothing is now")
    loaded = task.with_data(shots=record.shots, seed=record.seed, **places)
    return loaded, loaded.splits()


def validation_rows(run: Path, most: int) -> list[Row]:
    """At most so many of the rows that a run chose its prompt on.

    Raises:
        SoftPromptError: as `reread`.
    """
    task, splits = reread(run)
    return at_most(task, splits.validation, most)
