"""`softprompt studio` as a process: a socket on this machine, and an end that leaves nothing running."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from pathlib import Path

import uvicorn

from softprompt.errors import SoftPromptError
from softprompt.guards.paths import reason
from softprompt.serving.listening import is_loopback, until_told, url_of
from softprompt.studio.app import application
from softprompt.studio.state import Studio

PORT, _TRIED = 8765, 20  # the usual port, and how many from it on are tried


def serve(
    folder: Path, host: str, port: int | None, methods: Iterable[str], say: Callable[[str], None], token: str | None
) -> None:
    """Show a folder until it is interrupted.

    Args:
        folder: of runs.
        host: to listen at.
        port: likewise; None for 8765, or the next one that is free.
        methods: names that are offered for a training.
        say: told where it is, and what was stopped in the end.
        token: the password that a browser must give; None where it is asked for none.

    Raises:
        SoftPromptError: there is no such address here, or it is taken.
    """
    listening = opened(host, port)
    names = (host, *(() if is_loopback(host) else (socket.gethostname(),)))
    studio = Studio(folder, tuple(methods))
    app = application(studio, names, token, open_to_others=not is_loopback(host))
    say(f"studio of {folder}: {url_of(host, listening.getsockname()[1])}  (Ctrl-C ends it)")
    if token is not None:
        say("the browser asks for a name and a password: any name, and the token")
    config = uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=3)
    try:
        until_told(uvicorn.Server(config), listening)
    finally:
        listening.close()
        for name in studio.end():
            say(f"stopped: {name}; softprompt train --resume --out {folder / name} goes on")


def opened(host: str, port: int | None) -> socket.socket:
    """A socket that listens.

    Args:
        host: an address or a name of this machine.
        port: None for 8765 or one of those behind it; 0 for any.

    Raises:
        SoftPromptError: none can be had.
    """
    found = None
    for one in range(PORT, PORT + _TRIED) if port is None else (port,):
        found = _bound(host, one)
        if isinstance(found, socket.socket):
            return found
    assert isinstance(found, OSError)
    where = f"--host {host}" if port is None else f"--host {host} --port {port}"
    raise SoftPromptError(f"{where}: cannot listen there ({reason(found)}): choose another")


def _bound(host: str, port: int) -> socket.socket | OSError:
    """A socket that listens, or why there is none."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except UnicodeError:  # a label of more than 63 letters, which no name has
        return OSError("no such name")
    except OSError as error:
        return error
