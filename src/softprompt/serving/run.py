"""The application on a port of this machine, until it is told to stop."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import uvicorn
from fastapi import FastAPI

from softprompt.errors import SoftPromptError, quoted
from softprompt.methods.registry import checked
from softprompt.serving.listening import until_told
from softprompt.serving.options import ServingOptions


def options_of(pairs: Sequence[str]) -> ServingOptions:
    """Limits and times as they are typed, `NAME=VALUE`.

    Raises:
        SoftPromptError: there is no such one, or its value is none.
    """
    given: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise SoftPromptError(f"--set {quoted(pair)} has no '=': write --set name=value")
        given[name] = value
    return checked(ServingOptions, given, "--set")


def server_of(app: FastAPI, options: ServingOptions) -> uvicorn.Server:
    """What runs an application: it reads heads of bounded size, and says nothing of itself."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=32 << 10,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=round(options.drain),
    )
    return uvicorn.Server(config)


def serve(app: FastAPI, own: socket.socket, options: ServingOptions) -> None:
    """Answer until SIGTERM or SIGINT: then nothing more is accepted, and what was is answered first."""
    until_told(server_of(app, options), own)
