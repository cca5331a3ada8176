"""`softprompt results`."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from softprompt.cli.common import quiet, tell
from softprompt.errors import shown
from softprompt.guards.paths import file_for


class Format(str, Enum):
    """The forms of a table."""

    TEXT = "text"
    MARKDOWN = "markdown"
    LATEX = "latex"
    CSV = "csv"
    JSON = "json"
    HTML = "html"


RunFolders = Annotated[
    list[Path], typer.Argument(help="runs, and folders of runs at any depth, as train and compare write them")
]
Form = Annotated[
    Format, typer.Option("--format", help="of the table; latex takes booktabs, html is one page that needs no network")
]
Baseline = Annotated[
    str | None, typer.Option(help="the method that others are compared with, as the table calls it; default: none")
]
MetricName = Annotated[str | None, typer.Option(help="of all scores; default: each task's main metric")]
OutFile = Annotated[Path | None, typer.Option(help="file for the table; default: print it")]


def results(
    folders: RunFolders,
    form: Form = Format.TEXT,
    baseline: Baseline = None,
    metric: MetricName = None,
    out: OutFile = None,
) -> None:
    """Make a table of finished runs, with intervals, tests and costs, and say what was left out.

    Example: softprompt results runs --baseline prompt_tuning --format latex --out table.tex
    """
    quiet()
    if out is not None:
        file_for(out, "--out")
    from softprompt.compare.formats.grids import told
    from softprompt.compare.formats.text import as_text
    from softprompt.compare.rendering import results as results_of

    found = results_of(*folders, baseline=baseline, metric=metric)
    if out is not None:
        tell(f"table: {found.write(out, form.value)}")
    elif form is Format.TEXT:
        sys.stdout.write(as_text(found.table, styled=sys.stdout.isatty()))
    else:
        sys.stdout.write(found.render(form.value))
    if out is not None or form is not Format.TEXT:
        for line in told(found.table):
            print(shown(line), file=sys.stderr)
