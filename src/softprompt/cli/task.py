"""`softprompt task new`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from softprompt.cli.common import quiet
from softprompt.cli.guessing import Columns
from softprompt.cli.helping import Verb
from softprompt.cli.options import Encoding, Quiet
from softprompt.errors import shown

task = typer.Typer(help="Write a task's definition.", no_args_is_help=True)

TableOfRows = Annotated[Path, typer.Argument(help="a file of rows, or a folder of files called train and test")]
TextColumns = Annotated[list[str] | None, typer.Option("--text", help="the text's column; repeat, or a,b")]
LabelColumn = Annotated[str | None, typer.Option("--label", help="the label's column")]


@task.command(cls=Verb)
def new(
    data: TableOfRows,
    text: TextColumns = None,
    label: LabelColumn = None,
    encoding: Encoding = None,
    silent: Quiet = False,
) -> None:
    """Write the YAML of the task that a table is for, to go on from.

    Its columns are guessed where they are not given, and standard error tells which they are.

    Example: softprompt task new tickets.csv > tickets.yaml
    """
    quiet(silent=silent)
    from softprompt.tasks.guess.writing import yaml_of

    made = Columns.of(text, label).task_of(data, encoding=encoding)
    if not silent:
        for note in made.notes:
            print(shown(note), file=sys.stderr)
    names = f"--task {shlex.quote(made.name)}.yaml --data {shlex.quote(str(data))}"
    names += f" --encoding {shlex.quote(encoding)}" if encoding else ""
    use = f"softprompt train {names} --backbone BACKBONE --out RUN"
    plain = not (sys.stdout.encoding or "ascii").lower().startswith("utf")
    sys.stdout.write(yaml_of(made, (*made.notes, f"Train it: {use}"), ascii_only=plain))
