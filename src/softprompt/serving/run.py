"""The application on a port of this machine, until it is told to stop."""

from __future__ import annotations

import math
import signal
import socket
from collections.abc import Sequence
from types import FrameType

import uvicorn
from fastapi import FastAPI

from softprompt.guards.pairs import by_name
from softprompt.methods.registry import checked
from softprompt.serving.heap import only_new_rubbish
from softprompt.serving.listening import until_told
from softprompt.serving.options import ServingOptions
from softprompt.serving.service import Service

_READING = 2  # seconds in which whoever was answered last takes the answer


class _Server(uvicorn.Server):
    """Lets a service know that it stops; told to twice, it ends at once."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.drain()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        super().handle_exit(sig, frame)


def options_of(pairs: Sequence[str]) -> ServingOptions:
    """Limits and times as they are typed, `NAME=VALUE`.

    Raises:
        SoftPromptError: there is no such one, or its value is none.
    """
    return checked(ServingOptions, by_name(pairs, "--set", "name=value"), "--set")


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
        timeout_graceful_shutdown=math.ceil(options.drain) + _READING,
    )
    return _Server(config, app.state.service)


def serve(app: FastAPI, own: socket.socket, options: ServingOptions) -> None:
    """Answer until SIGTERM or SIGINT: then nothing more is accepted, and what was is answered first.

    What there is no time for is answered 503. A second signal ends the process at once.
    """
    with only_new_rubbish():
        until_told(server_of(app, options), own)
