"""Who may reach a server of this machine, and the port at which it listens until it is told to stop.

No torch is imported here, nor anything of prompts: the studio listens by the same rules.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
from pathlib import Path

import uvicorn

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards.paths import check_file, path_of

TOKEN = "SOFTPROMPT_TOKEN"  # noqa: S105  (the name of a variable of the environment)
_SHORTEST = 16


def token_of(file: Path | None) -> str | None:
    """The token that requests must bring: of a file, or else of the environment's `SOFTPROMPT_TOKEN`.

    Raises:
        SoftPromptError: there is none in the file, or it is short or not plain.
    """
    if file is None:
        found, where = os.environ.get(TOKEN), TOKEN
        if found is None:
            return None
    else:
        path, where = path_of(file, "--token-file"), f"--token-file {file}"
        check_file(path)
        found = path.read_text(encoding="utf-8", errors="replace").strip()
    if len(found) < _SHORTEST or not found.isascii() or not found.isprintable() or " " in found:
        raise SoftPromptError(
            f"{where}: no token of at least {_SHORTEST} letters and digits: openssl rand -hex 24 makes one"
        )
    return found


def host_of(given: str) -> str:
    """A name or address as sockets take it: one of IPv6 may have brackets around it, as in an address of the web."""
    inside = given[1:-1] if given.startswith("[") and given.endswith("]") else ""
    return inside if ":" in inside else given


def url_of(host: str, port: int) -> str:
    """What a browser opens to reach a port."""
    return f"http://[{host.replace('%', '%25')}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def is_loopback(host: str) -> bool:
    """Whether a name or address, with brackets or without, is reached from this machine alone."""
    own = host_of(host)
    if own.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(own).is_loopback
    except ValueError:
        return False


def check_open(host: str, token: str | None) -> None:
    """See that nobody else's machine reaches a server that asks for no token.

    Raises:
        SoftPromptError: it does.
    """
    if token is None and not is_loopback(host):
        raise SoftPromptError(
            f"--host {quoted(host)} is reached from other machines, and there is no token: give --token-file FILE, or "
            f"set {TOKEN}"
        )


def listen(host: str, port: int) -> socket.socket:
    """A port of this machine that is listened at; port 0 takes a free one.

    Raises:
        SoftPromptError: it cannot be had.
    """
    try:
        kind = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=kind, backlog=2048)
    except (OSError, OverflowError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SoftPromptError(
            f"--host {quoted(host)} --port {port}: cannot be listened at ({why}): choose another"
        ) from None


def free_port(host: str, port: int) -> int:
    """The number of a port that another program will listen at; for 0 that of a free one.

    Raises:
        SoftPromptError: it cannot be had.
    """
    with listen(host, port) as own:
        number: int = own.getsockname()[1]
    return number


def until_told(server: uvicorn.Server, own: socket.socket) -> None:
    """Run a server until SIGTERM or SIGINT, and return once it has answered what it accepted."""
    # Once it has drained, uvicorn sends itself the signal again, which shall end nothing else.
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        server.run([own])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
