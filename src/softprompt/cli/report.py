"""`softprompt report`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.common import open_prompt, quiet, tell
from softprompt.cli.options import Device, Dtype, PromptBackbone, Quiet
from softprompt.cli.scoring import Stored, Wanted
from softprompt.errors import SoftPromptError
from softprompt.guards.paths import file_for

if TYPE_CHECKING:
    from softprompt.progress import Progress
    from softprompt.storage.prompt import Prompt

FinishedRun = Annotated[Path, typer.Argument(help="folder of a finished run")]
Against = Annotated[Path | None, typer.Option(help="another run on the same test rows, compared row by row")]
OutPage = Annotated[Path | None, typer.Option(help="the HTML file; default: report.html in the run's folder")]
AnswerData = Annotated[Path | None, typer.Option(help="labelled rows to answer; default: the run's own test rows")]
MaxAnswers = Annotated[int, typer.Option(min=1, help="answer at most so many rows again")]
Effects = Annotated[bool, typer.Option("--effects", help="leave out each virtual token or layer: a pass for each")]
Why = Annotated[
    int | None, typer.Option(min=1, help="of this row, by its number on the page: what each token adds to the answer")
]
NoModel = Annotated[bool, typer.Option("--no-model", help="what the folder tells alone: no backbone is loaded")]


def report(
    run: FinishedRun,
    against: Against = None,
    out: OutPage = None,
    data: AnswerData = None,
    max_rows: MaxAnswers = 400,
    effects: Effects = False,
    why: Why = None,
    no_model: NoModel = False,
    backbone: PromptBackbone = None,
    dtype: Dtype = "auto",
    device: Device = None,
    silent: Quiet = False,
) -> None:
    """Write one page about a run: what was trained, what it answers, where it is wrong, and what its prompt is.

    The page needs no network. Rows are answered again for their probabilities, where they still lie where they were.

    Example: softprompt report runs/capt --against runs/prompt_tuning
    """
    quiet(silent=silent)
    if out is not None:
        file_for(out, "--out")
    _check_asks(no_model, {"--data": data, "--effects": effects, "--why": why})
    from softprompt.explain.report.page import report as report_of
    from softprompt.explain.report.run_files import read_run_files
    from softprompt.progress import Progress

    show = Progress(not silent)
    read_run_files(run)
    asked = [] if data is None else Wanted(None, data, None, None, None, max_rows).rows([Stored.of(run)], show).rows
    prompt = None if no_model else _prompt(run, backbone, dtype, device, show)
    page = report_of(
        run,
        out,
        against=against,
        prompt=prompt,
        rows=asked,
        max_rows=max_rows,
        effects=effects,
        why=why,
        progress=show,
    )
    tell(f"page: {page}")


def _check_asks(no_model: bool, asks: Mapping[str, object]) -> None:
    """Raise `SoftPromptError` where something is asked of a prompt that is left out."""
    given = [name for name, value in asks.items() if value]
    if no_model and given:
        raise SoftPromptError(f"{given[0]} asks the prompt, which --no-model leaves out: leave one of them out")


def _prompt(run: Path, backbone: str | None, dtype: str, device: str | None, show: Progress) -> Prompt | None:
    """The run's prompt, loaded; None where it cannot be, which is said and leaves parts of the page out."""
    try:
        return open_prompt(run, backbone, dtype, device)
    except SoftPromptError as error:
        show.say(f"the prompt cannot be loaded, so that the page has what the folder tells alone: {error}")
        return None
