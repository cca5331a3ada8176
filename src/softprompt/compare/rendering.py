"""`softprompt.results`: a table from folders of runs, and the forms that it is shown and written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from pydantic import JsonValue

from softprompt.compare.formats.document import as_csv, as_json, document
from softprompt.compare.formats.latex import as_latex
from softprompt.compare.formats.markdown import as_markdown
from softprompt.compare.formats.page import as_page
from softprompt.compare.formats.text import as_text
from softprompt.compare.table import Table
from softprompt.compare.tabulate import tabulate
from softprompt.errors import SoftPromptError
from softprompt.files.whole import write_text
from softprompt.guards.paths import file_for
from softprompt.guards.summaries import Summarised, Summary

FORMATS: Mapping[str, Callable[[Table], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "latex": as_latex,
    "csv": as_csv,
    "json": as_json,
    "html": as_page,
}


@dataclass(repr=False)
class Results(Summarised):
    """A table of finished runs.

    Attributes:
        table: as values: a sheet a backbone, in it a result for each method and task.
    """

    table: Table

    def render(self, how: str = "text") -> str:
        """The table as a text.

        Args:
            how: `text`, `markdown`, `latex`, `csv`, `json` or `html`.

        Raises:
            SoftPromptError: another word.
        """
        if how not in FORMATS:
            raise SoftPromptError(f"format {how!r}: choose from {', '.join(FORMATS)}")
        return FORMATS[how](self.table)

    def write(self, path: str | PathLike[str], how: str = "text") -> Path:
        """Write the table into a file.

        Args:
            path: of the file.
            how: as `render` has it.

        Raises:
            SoftPromptError: another word, or a place that cannot be written.
        """
        place, text = file_for(path, "table"), self.render(how)
        # From where a page lies it links to the reports of its runs.
        write_text(place, as_page(self.table, place.parent) if how == "html" else text)
        return place

    def as_dict(self) -> dict[str, JsonValue]:
        """What `json` writes, in plain values."""
        return document(self.table)

    def summary(self) -> Summary:
        """What a notebook shows of it."""
        facts = []
        for sheet in self.table.sheets:
            labels = [column.label for column in sheet.columns]
            best = [f"{label}: {', '.join(sheet.standing(label)[0]) or 'none'}" for label in labels]
            facts += [("backbone", sheet.backbone), ("best", ", ".join(best))]
        facts += [("left out", f"{len(self.table.left_out)} folders")] if self.table.left_out else []
        return Summary(f"Results of {self.table.runs} runs", facts)


def results(*folders: str | PathLike[str], baseline: str | None = None, metric: str | None = None) -> Results:
    """A table of the finished runs in and below folders, whoever began them; no backbone is loaded.

    Only what is comparable stands together: the same task, backbone, number of shots and test rows. What is left out
    (`table.left_out`) says why: runs that are not finished, or that were tested on other rows. Runs that failed or
    diverged are counted beside the scores of their method (`compare.failures`).

    A result's interval is a bootstrap over seeds and rows (`compare.resampling`). A comparison with the baseline is a
    paired t test over seeds and a permutation test over rows; its p is the larger of the two, and Holm's correction is
    for all comparisons on a task and backbone (`compare.significance`).

    Args:
        *folders: at least one.
        baseline: the method that others are compared with, as the table calls it.
        metric: of all scores; by default each task's main metric.

    Raises:
        SoftPromptError: a folder that is none, no finished run, no such method, or no run with the metric.

    Example:
        >>> found = sp.results("runs", metric="accuracy")
        >>> found.render("csv").startswith("backbone,task,metric")
        True
    """
    if not folders:
        raise SoftPromptError("no folder: name folders that softprompt train or compare wrote")
    return Results(tabulate(folders, baseline, metric))
