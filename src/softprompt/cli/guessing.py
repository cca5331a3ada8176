"""`--text` and `--label`: the columns of a table whose task is guessed, where no `--task` is given."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from softprompt.errors import SoftPromptError

if TYPE_CHECKING:
    from softprompt.tasks import Task


_AHEAD = 200  # rows whose columns are looked at: of JSON each may have its own


class Columns(NamedTuple):
    """Columns that a user named; those that are not are guessed."""

    text: tuple[str, ...] = ()
    label: str | None = None

    @property
    def given(self) -> bool:
        """Whether any was named."""
        return bool(self.text) or self.label is not None

    @classmethod
    def of(cls, text: list[str] | None, label: str | None) -> Columns:
        """What was typed."""
        return cls(tuple(text or ()), label)

    def renamed(self, task: Task, data: Path | None, encoding: str | None) -> Task:
        """A task whose fields and label stand in these columns of another table.

        Args:
            task: of a prompt.
            data: the table; only of a file the columns are looked for.
            encoding: of a text file.

        Raises:
            SoftPromptError: another number of texts than the task has fields, or no such column in the file.
        """
        texts = [name.strip() for one in self.text for name in one.split(",")]
        if texts and len(texts) != len(task.fields):
            raise SoftPromptError(
                f"--text names {len(texts)} columns, and task {task.name!r} has the fields {', '.join(task.fields)}: "
                "name one for each"
            )
        columns = {field: (name, *task.columns.get(field, ())) for field, name in zip(task.fields, texts, strict=False)}
        if self.label is not None:
            answer = "answers" if task.kind == "generation" else "label"
            columns[answer] = (self.label, *task.columns.get(answer, ()))
        found = task.model_copy(update={"columns": {**task.columns, **columns}})
        if data is not None and data.is_file():  # else a name that is not there would leave the task's own in its place
            _check_there([*texts, *([self.label] if self.label is not None else [])], found, data, encoding)
        return found

    def check(self, task: str | None) -> None:
        """Raise `SoftPromptError` where a task names its columns itself."""
        if task is not None and self.given:
            raise SoftPromptError(
                "--text and --label are of a table without --task: leave --task out, or name the columns in its YAML"
            )

    def task_of(self, data: Path | None, **source: Any) -> Task:
        """The task of a table.

        Raises:
            SoftPromptError: see `Task.from_file`.
        """
        from softprompt.tasks import Task

        return Task.from_file(data, self.text, self.label, **source)


def _check_there(names: list[str], task: Task, data: Path, encoding: str | None) -> None:
    from softprompt.tasks.data.files import each_record
    from softprompt.tasks.data.records import columns_of
    from softprompt.tasks.guess.choose import no_column

    rows = islice(each_record(data, columns_of(task), encoding=encoding), _AHEAD)
    there = list(dict.fromkeys(name for row in rows for name in row.values))
    for name in names:
        if name not in there:
            raise no_column(name, there, data)


def check_named(task: str | None, data: Path | None) -> None:
    """Raise `SoftPromptError` where there is neither a task nor a table that could say what the task is."""
    if task is None and data is None:
        raise SoftPromptError("no --task: give it, or --data with a table whose columns say what the task is")


def task_of(name: str | None, columns: Columns, data: Path | None, template: str | None = None, **source: Any) -> Task:
    """A task by its name with its rows, or that of a table.

    Args:
        name: of the task, or None.
        columns: of the table.
        data: of the task, or the table.
        template: the name of one of its patterns or a text, or None; see `Task.with_template`.
        **source: what else `Task.with_data` is told.

    Raises:
        SoftPromptError: neither is there, or there is a fault in them.
    """
    columns.check(name)
    check_named(name, data)
    from softprompt.tasks import Task

    found = Task.load(name, data, **source) if name is not None else columns.task_of(data, **source)
    return found if template is None else found.with_template(template)


def named_task(name: str | None, own: Task) -> Task:
    """The task that is meant; the prompt's own needs no file and no catalog."""
    from softprompt.guards.suggestions import folded
    from softprompt.tasks import Task

    of_own = {folded(one) for one in (own.name, *own.aliases)}
    if name is None or (Path(name).suffix not in (".yaml", ".yml") and folded(name) in of_own):
        return own
    return Task.load(name)
