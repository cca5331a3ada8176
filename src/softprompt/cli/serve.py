"""`softprompt serve`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.common import quiet, tell
from softprompt.cli.options import BackboneName, Device, Dtype, Host, Int8, On, Quiet, TokenFile
from softprompt.cli.placing import address_of
from softprompt.errors import SoftPromptError

if TYPE_CHECKING:
    from softprompt.serving.on_ray import Order, Replicas

_NEEDS = ("fastapi", "uvicorn", "prometheus_client")
PromptsFolder = Annotated[
    Path, typer.Option("--prompts", help="a folder of run or prompt folders, looked at again and again")
]
Port = Annotated[int, typer.Option(min=0, max=65535, help="to listen at; 0 takes a free one")]
Memory = Annotated[
    int | None, typer.Option(min=1, help="MB that prompts may take; who was asked least lately goes first")
]
LogTexts = Annotated[bool, typer.Option("--log-texts", help="log the texts of requests, too")]
ReplicasText = Annotated[
    str | None, typer.Option("--replicas", metavar="N|N-M", help="of --on ray; default: 2; of two numbers Ray chooses")
]
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
    on: On = None,
    replicas: ReplicasText = None,
    dtype: Dtype = "auto",
    device: Device = None,
    int8: Int8 = False,
    silent: Quiet = False,
) -> None:
    """Answer requests for every prompt of a folder over one frozen model, different tasks in one batch.

    Example: softprompt serve --backbone embedded:minilm --prompts prompts
    """
    quiet(silent=silent)
    _check_installed()
    from softprompt.serving.listening import check_open, host_of, listen, token_of, url_of
    from softprompt.serving.run import options_of
    from softprompt.serving.run import serve as run

    options, token, host = options_of(limits or []), token_of(token_file), host_of(host)
    check_open(host, token)
    from softprompt.serving.folder import folder_of_prompts

    folder, room = folder_of_prompts(prompts), None if memory is None else memory * 10**6
    from softprompt.serving.on_ray import Order, Replicas

    order = Order(backbone, str(folder), room, options, token, log_texts, dtype, device, int8)
    if on is not None:
        _on_ray(order, host, port, Replicas.of(replicas or "2"), on)
        return
    if replicas is not None:
        raise SoftPromptError("--replicas is of a cluster: give --on ray with it")
    with listen(host, port) as own:
        app = order.app()
        tell(f"serving {prompts} at {url_of(host, own.getsockname()[1])}")
        run(app, own, options)


def _check_installed() -> None:
    lacking = [name for name in _NEEDS if find_spec(name) is None]
    if lacking:
        raise SoftPromptError(f"serve: {lacking[0]} is missing: pip install 'softprompt[serve]'")


def _on_ray(order: Order, host: str, port: int, replicas: Replicas, on: str) -> None:
    address = address_of(on)
    from softprompt.serving.listening import free_port, url_of
    from softprompt.serving.on_ray import check_ray, serve_on_ray

    check_ray()
    if address is None:
        port = free_port(host, port)
    elif not port:
        raise SoftPromptError("--port 0 takes a free port of this machine, but a cluster elsewhere listens: choose one")
    tell(f"serving {order.prompts} at {url_of(host, port)} from replicas on Ray")
    serve_on_ray(order, host, port, replicas, address)
