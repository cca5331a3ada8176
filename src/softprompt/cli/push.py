"""`softprompt push`."""

from __future__ import annotations

from typing import Annotated

import typer

from softprompt.cli.common import open_prompt, quiet, tell
from softprompt.cli.options import Device, Dtype, PromptBackbone, RunFolder

Repository = Annotated[str, typer.Argument(help="OWNER/NAME on the hub; it is made where there is none")]
Private = Annotated[bool, typer.Option("--private", help="a new repository is private")]
Licence = Annotated[str | None, typer.Option(help="of the prompt, as the hub calls it; default: the backbone's")]


def push(
    run: RunFolder,
    repo: Repository,
    private: Private = False,
    licence: Licence = None,
    backbone: PromptBackbone = None,
    dtype: Dtype = "auto",
    device: Device = None,
) -> None:
    """Upload a trained prompt to the hub, with its results and a licence on its card.

    The account is the one that `hf auth login` has. Whoever has the backbone loads it as hf://OWNER/NAME.

    Example: softprompt push runs/mail me/mail --private
    """
    quiet()
    prompt = open_prompt(run, backbone, dtype, device)
    from softprompt.carrying.push import push as upload

    tell(upload(prompt, repo, private=private or None, licence=licence))
