"""Folders of prompts to be served, of tiny models, and what each prompt answers by itself."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softprompt.backbones.backbone import Backbone
from softprompt.inference.predict import Answer
from softprompt.methods import method as method_of
from softprompt.storage.prompt import Prompt, answers_to, load, save

from .members import GENERATION, few, member
from .models import model, tokenizer

# A static prompt in the sequence, a deep one, keys and values, and two that are made of the text; of several lengths.
MIXED: dict[str, tuple[str, dict[str, Any]]] = {
    "static": ("prompt_tuning", {"num_virtual_tokens": 3}),
    "longer": ("prompt_tuning", {"num_virtual_tokens": 5}),
    "deep": ("deep_prompt", {"num_virtual_tokens": 4}),
    "prefix": ("p_tuning_v2", {"num_virtual_tokens": 2}),
    "capsule": ("capt", {}),
    "idpg": ("idpg", {"num_virtual_tokens": 2}),
}
TEXTS = ["w20 w41 w42 w43 w44", "w30 w50", "w60 w61 w62 w63 w64 w65 w66 w67", "w20"]


def backbone(family: str) -> Backbone:
    """A tiny model with its tokenizer."""
    return Backbone(model(family), tokenizer())


def put(
    root: Path, name: str, family: str, method: str, options: Mapping[str, Any], /, seed: int = 0, **changes: Any
) -> Path:
    """A prompt folder, whose vectors all matter.

    Args:
        root: where it is put.
        name: of the prompt.
        family: of its backbone.
        method: its name.
        options: of the method.
        seed: of its vectors.
        **changes: of the task; `wishes` are those of the readout.
    """
    wishes = changes.pop("wishes", {})
    task, _ = few(root.parent / "rows" / name, **changes)
    return save(member(task, family, method_of(method, **options), seed, **wishes), root / name)


def put_mixed(root: Path, family: str, names: tuple[str, ...] = tuple(MIXED), **changes: Any) -> None:
    """Prompts of mixed methods and lengths."""
    for seed, name in enumerate(names):
        put(root, name, family, *MIXED[name], seed=seed, **changes)


def alone(root: Path, name: str, family: str, texts: list[str]) -> list[Answer]:
    """What a prompt answers in a batch of its own, row by row."""
    prompt: Prompt = load(root / name, backbone(family))
    assert prompt.task is not None
    return [answers_to(prompt, [row])[0] for row in prompt.task.rows_of(texts)]


@dataclass
class Answered:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A server in this process, on a port of its own."""

    port: int
    app: Any

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None, method: str = "") -> Answered:
        """One request; a body that is no bytes is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        own = {"Content-Type": "application/json"} if data is not None else {}
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, data, {**own, **(headers or {})})
            answer = connection.getresponse()
            return Answered(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()


@contextmanager
def server(root: Path, family: str, *, limits: Mapping[str, Any] | None = None, **options: Any) -> Iterator[Server]:
    """The prompts of a folder, served on loopback until the block ends."""
    from softprompt.serving.app import create_app
    from softprompt.serving.engine import Engine
    from softprompt.serving.listening import listen
    from softprompt.serving.options import ServingOptions
    from softprompt.serving.run import server_of

    chosen = ServingOptions(**{"every": 0.1, **(limits or {})})
    app = create_app(Engine(backbone(family), root), chosen, **options)
    own, running = listen("127.0.0.1", 0), server_of(app, chosen)
    thread = threading.Thread(target=running.run, args=([own],), daemon=True)
    thread.start()
    while not running.started and thread.is_alive():
        thread.join(0.01)
    try:
        yield Server(own.getsockname()[1], app)
    finally:
        running.should_exit = True
        thread.join(30)
        own.close()
    assert not thread.is_alive()


def within(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


__all__ = [
    "GENERATION",
    "MIXED",
    "TEXTS",
    "Answered",
    "Server",
    "alone",
    "backbone",
    "put",
    "put_mixed",
    "server",
    "within",
]
