"""Requests that nobody would write: bodies, headers and names that are almost right, or nothing at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from .served import GENERATION, Server, put, server

NAMES = ("labels", "writer", "head")
_VALID: dict[str, dict[str, Any]] = {
    "/v1/classify": {"model": "labels", "input": "w20 w41"},
    "/v1/completions": {"model": "writer", "prompt": "w20", "max_tokens": 2, "stream": False, "stop": ["w30"]},
    "/v1/chat/completions": {"model": "writer", "messages": [{"role": "user", "content": "w20"}], "temperature": 1},
    "/v1/embeddings": {"model": "head", "input": ["w20"], "encoding_format": "float"},
}
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=True)
    | st.text(max_size=12)
    | st.sampled_from([*NAMES, "../labels", "/etc/passwd", "labels#0", "\x00", "\ud800", "w20", "{text}", "1e999"])
)
_JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
_HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20)
_HEADERS = st.dictionaries(
    st.sampled_from(["X-Request-Id", "Authorization", "Content-Type", "Host", "Accept", "X-Forwarded-For", "Origin"]),
    _HEADER,
    max_size=2,
)


@dataclass(frozen=True)
class Fuzzed:
    """A request."""

    method: str
    path: str
    body: bytes | None
    headers: dict[str, str]


@st.composite
def almost_right(draw: st.DrawFn) -> tuple[str, bytes]:
    """A body with some fields changed, left out or added."""
    path = draw(st.sampled_from(sorted(_VALID)))
    body: Any = dict(_VALID[path])
    for _ in range(draw(st.integers(0, 3))):
        field = draw(st.sampled_from([*body, "n", "user", "top_p", "seed", "dimensions"]) | st.text(max_size=6))
        if draw(st.booleans()):
            body[field] = draw(_JSON)
        else:
            body.pop(field, None)
    text = json.dumps(body).encode()
    return path, text[: draw(st.integers(0, len(text)))] if draw(st.integers(0, 9)) == 0 else text


_ROUTES = ["/", "/docs", "/metrics", "/openapi.json", "/healthz", "/readyz", "/v1/models", "/%00", "/v1/models/%ff"]
_VISIBLE = st.characters(min_codepoint=33, max_codepoint=126)
_POSTS = almost_right() | st.tuples(
    st.sampled_from(sorted(_VALID)), st.binary(max_size=60) | _JSON.map(lambda one: json.dumps(one).encode())
)
_GETS = st.one_of(
    st.text(max_size=20).map(lambda name: f"/v1/models/{quote(name.encode('utf-8', 'surrogatepass'), safe='')}"),
    st.text(_VISIBLE, max_size=20).map(lambda path: f"/{path}"),
    st.sampled_from(_ROUTES),
)
_OTHERS = st.sampled_from(["PUT", "DELETE", "HEAD", "OPTIONS"])
requests = st.one_of(
    st.builds(lambda post, headers: Fuzzed("POST", *post, headers), _POSTS, _HEADERS),
    st.builds(lambda path, headers: Fuzzed("GET", path, None, headers), _GETS, _HEADERS),
    st.builds(lambda method, path: Fuzzed(method, path, None, {}), _OTHERS, _GETS),
)


@contextmanager
def fuzzed_server(folder: Path) -> Iterator[Server]:
    """A server of the three prompts that the requests name."""
    root = folder / "prompts"
    put(root, "labels", "llama", "prompt_tuning", {"num_virtual_tokens": 2}, seed=1)
    put(root, "writer", "llama", "capt", {}, seed=2, **GENERATION, wishes={"max_new_tokens": 3})
    put(root, "head", "llama", "capt", {}, seed=3, wishes={"readout": "head"})
    with server(root, "llama", limits={"new_tokens": 8}) as one:
        yield one


def check(served: Server, one: Fuzzed) -> int:
    """Send a request and see that no fault of the server's own comes back; the status of the answer."""
    found = served.ask(one.path, one.body, one.headers, one.method)
    assert found.status < 500, (one, found)
    assert b"Traceback" not in found.body
    assert str(Path.home()).encode() not in found.body
    assert b"site-packages" not in found.body
    if found.status >= 400 and one.method != "HEAD" and found.body:
        assert found.json["error"]["message"]
    return found.status
