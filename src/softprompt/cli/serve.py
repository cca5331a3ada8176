"""`softprompt serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from softprompt.cli.common import quiet, tell
from softprompt.cli.options import BackboneName, Device, Dtype, Quiet
from softprompt.errors import SoftPromptError

PromptsFolder = Annotated[
    Path, typer.Option("--prompts", help="a folder of run or prompt folders, looked at again and again")
]
Host = Annotated[str, typer.Option(help="address to listen at; off this machine a token is needed")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="to listen at; 0 takes a free one")]
TokenFile = Annotated[
    Path | None, typer.Option(help="a file with the token that requests must bring; default: $SOFTPROMPT_TOKEN")
]
Memory = Annotated[
    int | None, typer.Option(min=1, help="MB that prompts may take; who was asked least lately goes first")
]
LogTexts = Annotated[bool, typer.Option("--log-texts", help="log the texts of requests, too")]
Limits = Annotated[
    list[str] | None,
    typer.Option("--set", help="a limit or time, as queue_rows=256; repeat", metavar="NAME=VALUE"),
]


def serve(
    backbone: BackboneName,
    prompts: PromptsFolder,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    token_file: TokenFile = None,
    memory: Memory = None,
    log_texts: LogTexts = False,
    limits: Limits = None,
    dtype: Dtype = "auto",
    device: Device = None,
    silent: Quiet = False,
) -> None:
    """Answer requests for every prompt of a folder over one frozen model, different tasks in one batch.

    Example: softprompt serve --backbone embedded:minilm --prompts prompts
    """
    quiet(silent=silent)
    try:
        from softprompt.serving.run import check_open, listen, options_of, token_of
        from softprompt.serving.run import serve as run
    except ModuleNotFoundError as error:
        raise SoftPromptError(f"serve: {error.name} is missing: pip install 'softprompt[serve]'") from None
    options, token = options_of(limits or []), token_of(token_file)
    check_open(host, token)
    from softprompt.backbones.load import load_backbone
    from softprompt.serving.app import create_app
    from softprompt.serving.engine import Engine
    from softprompt.serving.folder import folder_of_prompts

    folder_of_prompts(prompts)
    with listen(host, port) as own:
        engine = Engine(
            load_backbone(backbone, dtype=dtype, device=device), prompts, None if memory is None else memory << 20
        )
        app = create_app(engine, options, token=token, own_hosts=token is None, log_texts=log_texts)
        tell(f"serving {prompts} at http://{host}:{own.getsockname()[1]}")
        run(app, own, options)
