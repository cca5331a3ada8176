"""What stands before every request: who may ask, how much may be sent, and what a page may load.

A page of another site can send requests to a server of this machine, and a name of its own can be made to mean this
machine (DNS rebinding). So a request must name this machine as its host, and what changes something must come from a
page of ours. Where there is a token, a browser asks for it as a password (HTTP's Basic scheme) and sends it with each
request; it is compared in a time that tells nothing of it. Nothing is loaded from elsewhere: the policy below names no
other place.
"""

from __future__ import annotations

import binascii
import hmac
import ipaddress
from base64 import b64decode
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from softprompt.guards.limits import MIB

MOST = 512 * MIB  # bytes that are sent: a table of rows
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
)
# A report is a file that anybody may have written: it gets an origin of its own, from which nothing here can be asked.
FOREIGN = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; img-src data: blob:; frame-ancestors 'self'"
)
_SAFE = ("GET", "HEAD")
_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class Guarded:
    """An application behind these rules.

    Args:
        app: the application.
        hosts: names that this machine goes by, beside its loopback addresses.
        token: the password that a browser must give, or None.
        open_to_others: addresses in numbers count as this machine, since it listens beyond loopback.
    """

    def __init__(
        self, app: ASGIApp, hosts: Iterable[str] = (), token: str | None = None, *, open_to_others: bool = False
    ) -> None:
        """See the class."""
        self.app, self.hosts, self.open = app, _LOCAL | {one.lower() for one in hosts}, open_to_others
        self.token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it in a line."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refused = self.refusal(scope["method"], Headers(scope=scope))
        if refused is not None:
            await PlainTextResponse(refused + "\n", 403)(scope, receive, send)
            return
        if self.token is not None and not hmac.compare_digest(_password(Headers(scope=scope)), self.token):
            refused = "this studio wants its token: give it as the password, with any name"
            await PlainTextResponse(refused + "\n", 401, _ASKING)(scope, receive, send)
            return
        if _length(Headers(scope=scope)) > MOST:
            await PlainTextResponse(f"more than {MOST // MIB} MiB: train from a file on the disk\n", 413)(
                scope, receive, send
            )
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, sending)

    def refusal(self, method: str, headers: Headers) -> str | None:
        """Why a request is refused; None where it may be answered.

        Args:
            method: of HTTP.
            headers: of the request.
        """
        host = headers.get("host", "")
        if not self._is_here(host):
            return "this studio answers to its own address alone: open the one that it printed"
        if method in _SAFE:
            return None
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "this comes from a page of another place: use the studio's own pages"
        if origin is None and site not in (None, "same-origin"):
            return "this comes from a page of another place: use the studio's own pages"
        if method == "POST" and "content-length" not in headers:
            return "its length is not told: send it with a Content-Length"
        return None

    def _is_here(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self.hosts or (self.open and _is_number(name))


_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_ASKING = {"WWW-Authenticate": 'Basic realm="softprompt studio", charset="UTF-8"', "Cache-Control": "no-store"}


def _password(headers: Headers) -> bytes:
    """What a browser sends as a password; nothing where it sends none."""
    kind, _, given = headers.get("authorization", "").partition(" ")
    try:
        return b64decode(given, validate=True).partition(b":")[2] if kind.lower() == "basic" else b""
    except (binascii.Error, ValueError):  # no such coding, or letters beyond ASCII
        return b""


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _length(headers: Headers) -> int:
    told = headers.get("content-length", "0")
    return int(told) if told.isdigit() else MOST + 1
