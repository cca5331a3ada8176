"""`softprompt studio`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from softprompt.cli.common import quiet, tell
from softprompt.cli.known import method_names
from softprompt.cli.options import Host, TokenFile
from softprompt.errors import SoftPromptError
from softprompt.guards.paths import folder_for

_NEEDED = ("fastapi", "uvicorn", "python_multipart")

StudioFolder = Annotated[Path, typer.Argument(help="of runs, at any depth; made where it is missing")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="default: 8765, or the next one that is free")]


def studio(
    folder: StudioFolder = Path("runs"),
    host: Host = "127.0.0.1",
    port: Port = None,
    token_file: TokenFile = None,
) -> None:
    """Look at a folder of runs in the browser: tables, curves, reports; train from a table, and ask prompts.

    Nothing is loaded from elsewhere, and only this machine can reach it unless --host says otherwise.

    Example: softprompt studio runs
    """
    quiet()
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise SoftPromptError(f"the studio needs {', '.join(missing)}: pip install 'softprompt[studio]'")
    from softprompt.serving.listening import check_open, host_of, token_of

    token, host = token_of(token_file), host_of(host)
    check_open(host, token)
    place = folder_for(folder, "studio")
    place.mkdir(parents=True, exist_ok=True)
    from softprompt.studio.server import serve

    serve(place, host, port, sorted(method_names()), tell, token)
