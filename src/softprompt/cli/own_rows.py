"""The rows that a run chose its prompt on, for verbs that look into prompts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from softprompt.tasks import Row


def validation_rows(run: Path, most: int) -> list[Row]:
    """A run's own validation rows, `most` of them; none where its file is no longer where it was, or not known."""
    from softprompt.files.places import RUN
    from softprompt.tasks.data.sampling import at_most
    from softprompt.training.begun import RunRecord

    record = RunRecord.read(run) if (run / RUN).is_file() else None
    if record is None or record.begun is None or record.begun.data is None or not Path(record.begun.data).exists():
        return []
    task = record.task(run).with_data(shots=record.shots, seed=record.seed, **record.places(run))
    return at_most(task, task.splits().validation, most)
