"""What every request passes before the application sees it: its size, its form, who asks, and its line in the log.

A body is read whole, up to a limit and within a time, and looked at before it is parsed: so many bytes, so many lists
and objects inside each other. Off loopback a token is asked for, and compared in a time that tells nothing of it. On
loopback without one, names other than the machine's own are refused in `Host`, as a page elsewhere could make a browser
send them (DNS rebinding), and so are bodies that are not called JSON, which such a page could send unasked.
"""

from __future__ import annotations

import hmac
import logging
import re
import time
import uuid
from collections.abc import MutableMapping
from dataclasses import dataclass, field

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from softprompt.files import strict_json
from softprompt.serving.accepted import Accepted
from softprompt.serving.faults import answer_to, cut_off
from softprompt.serving.listening import is_loopback
from softprompt.serving.options import ServingOptions
from softprompt.serving.telemetry import Telemetry

REQUESTS = logging.getLogger("softprompt.serving.requests")
OPEN = ("/", "/docs", "/healthz", "/readyz")  # need no token: they tell nothing of prompts
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NESTED = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


@dataclass
class Notes:
    """What the log is told of a request, by whoever answers it.

    Attributes:
        id: of the request.
        facts: what else there is to say.
        private: the texts, which are logged only where that was asked for.
    """

    id: str
    facts: dict[str, object] = field(default_factory=dict)
    private: list[object] = field(default_factory=list)


def notes_of(scope: MutableMapping[str, object]) -> Notes:
    """The notes of a request."""
    found = scope["softprompt.notes"]
    assert isinstance(found, Notes)
    return found


class _Refusal(Exception):
    """A request that goes no further."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Door:
    """The outermost layer of the application.

    Args:
        app: what is inside.
        options: limits and times.
        token: that requests must bring, or None.
        own_hosts: whether names other than the machine's own are refused.
        log_texts: whether texts are logged.
        telemetry: counts requests.
        accepted: knows which have no answer yet.
    """

    def __init__(
        self,
        app: ASGIApp,
        options: ServingOptions,
        token: str | None,
        telemetry: Telemetry,
        accepted: Accepted,
        *,
        own_hosts: bool,
        log_texts: bool,
    ) -> None:
        self._app, self._options, self._telemetry, self._accepted = app, options, telemetry, accepted
        self._token = None if token is None else token.encode()
        self._own_hosts, self._log_texts = own_hosts, log_texts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get("x-request-id", "")
        notes = scope["softprompt.notes"] = Notes(given if _ID.fullmatch(given) else uuid.uuid4().hex)
        began, status = time.monotonic(), 499  # who went away saw no status

        async def telling(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                await self._accepted.begins(request)
                status = message["status"]
                message = {**message, "headers": [*message["headers"], (b"x-request-id", notes.id.encode())]}
            await send(message)

        try:
            with self._accepted.one() as request:
                await self._answer(scope, headers, receive, telling)
            if request.cancelled_caught:
                await cut_off()(scope, receive, telling)
        finally:
            self._log(scope, notes, status, time.monotonic() - began)

    async def _answer(self, scope: Scope, headers: dict[str, str], receive: Receive, send: Send) -> None:
        try:
            self._check(scope, headers)
            own = await self._whole_body(headers, receive) if scope["method"] == "POST" else receive
        except _Refusal as refusal:
            await answer_to(refusal.status, str(refusal))(scope, receive, send)
        else:
            await self._app(scope, own, send)

    def _check(self, scope: Scope, headers: dict[str, str]) -> None:
        host = headers.get("host", "")
        name = host if host.endswith("]") or (host.count(":") > 1 and "]" not in host) else host.rsplit(":", 1)[0]
        if self._own_hosts and not is_loopback(name):
            raise _Refusal(421, "Host is none of this machine's names: ask for localhost, or start with a token")
        if self._token is not None and scope["path"] not in OPEN:
            kind, _, given = headers.get("authorization", "").partition(" ")
            if not hmac.compare_digest(given.encode(), self._token) or kind.lower() != "bearer":
                raise _Refusal(401, "this server wants a token: send Authorization: Bearer TOKEN")
        form = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] == "POST" and form != "application/json":
            raise _Refusal(415, "Content-Type is not application/json: send JSON")

    async def _whole_body(self, headers: dict[str, str], receive: Receive) -> Receive:
        """Read the body, and hand it on as one message; what comes later is passed on."""
        limit = self._options.body_bytes
        length = headers.get("content-length", "")
        if length.isdecimal() and len(length) < 20 and int(length) > limit:
            raise _Refusal(413, f"the body has {length} bytes, at most {limit}: send fewer texts at a time")
        body, more = bytearray(), True
        try:
            with anyio.fail_after(self._options.body_seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Refusal(400, "the body has no end")
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > limit:
                        raise _Refusal(413, f"the body has more than {limit} bytes: send fewer texts at a time")
        except TimeoutError:
            raise _Refusal(408, f"the body was not there within {self._options.body_seconds:g} s") from None
        if depth_of(bytes(body), self._options.depth) > self._options.depth:
            raise _Refusal(400, f"the body has more than {self._options.depth} lists and objects inside each other")
        whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def again() -> Message:
            return whole.pop() if whole else await receive()

        return again

    def _log(self, scope: Scope, notes: Notes, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")  # never the path itself, of which there are endlessly many
        self._telemetry.answered(route, status, seconds)
        line = {
            "id": notes.id,
            "method": scope["method"],
            "path": scope["path"][:200],
            "status": status,
            "ms": round(1000 * seconds, 1),
            **notes.facts,
            **({"texts": notes.private} if self._log_texts and notes.private else {}),
        }
        REQUESTS.info("%s", strict_json.dumps(line, indent=None, ascii_only=True))


def depth_of(body: bytes, most: int) -> int:
    """How many lists and objects stand inside each other in JSON, or one more than `most` where there are more."""
    depth = deepest = 0
    for found in _NESTED.finditer(body):
        mark = found.group()
        if mark in b"[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > most:
                break
        elif mark in b"]}":
            depth -= 1
    return deepest
