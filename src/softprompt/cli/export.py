"""`softprompt export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from softprompt.carrying.names import NAMES, check_form
from softprompt.cli.common import open_prompt, quiet, tell
from softprompt.cli.completing import forms_by_name
from softprompt.cli.options import OUT, Device, Dtype, PromptBackbone, Quiet

CarriedRuns = Annotated[
    list[Path], typer.Argument(help="folder of a run or of a prompt; several where the form holds them")
]
Form = Annotated[str, typer.Option("--to", help=f"the form: {', '.join(NAMES)}", autocompletion=forms_by_name)]
CarriedOut = Annotated[Path, typer.Option(*OUT, help="a new folder, or an empty one")]


def export(
    runs: CarriedRuns,
    to: Form,
    out: CarriedOut,
    backbone: PromptBackbone = None,
    dtype: Dtype = "auto",
    device: Device = None,
    silent: Quiet = False,
) -> None:
    """Write a trained prompt in the form of another program.

    Example: softprompt export runs/mail --to peft --out mail-peft
    """
    quiet(silent=silent)
    check_form(to, len(runs))
    first = open_prompt(runs[0], backbone, dtype, device)
    from softprompt.carrying.formats import export as write
    from softprompt.storage.prompt import load

    prompts = [first, *(load(run, first.backbone) for run in runs[1:])]
    path = write(dict(zip(_names(runs), prompts, strict=True)), out, to=to)
    if not silent:
        tell(f"{path}: {', '.join(sorted(one.name for one in path.iterdir()))}")


def _names(runs: list[Path]) -> list[str]:
    """The names of some folders, all with their place where two are the same; of a run's own prompt that of the run."""
    names = [run.resolve().parent.name if run.name == "prompt" else run.resolve().name for run in runs]
    if len({*names}) == len(names):
        return names
    return [f"{name}-{place}" for place, name in enumerate(names, 1)]
