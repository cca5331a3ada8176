"""A server that stops: what there is time for is answered, and what there is none for is told so."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from softprompt.serving.engine import Engine

from ..shared.served import GENERATION, TEXTS, Answered, Server, alone, put, server, within

FAMILY, BODY = "llama", {"model": "one", "input": TEXTS}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("drain") / "prompts"
    put(found, "one", FAMILY, "prompt_tuning", {"num_virtual_tokens": 2})
    put(found, "writer", FAMILY, "prompt_tuning", {"num_virtual_tokens": 3}, 7, **GENERATION,
        wishes={"max_new_tokens": 60})  # fmt: skip
    return found


@contextmanager
def stopping(root: Path, drain: float, **limits: Any) -> Iterator[tuple[Server, ThreadPoolExecutor]]:
    """A server, and threads for its clients; it is told to stop at the block's end, and stops in time."""
    with ThreadPoolExecutor(32) as clients:
        with server(root, FAMILY, limits={"drain": drain, **limits}) as one:
            yield one, clients
            told = time.monotonic()
        assert time.monotonic() - told < drain + 4


class Slow:
    """An engine that takes so long for each row, and does not begin before it may.

    Attributes:
        asked: whether it has been asked.
        may: whether it may begin.
    """

    def __init__(self, engine: Engine, seconds: float) -> None:
        self.asked, self.may, self._seconds, self._own = threading.Event(), threading.Event(), seconds, engine.answer
        self.may.set()
        engine.answer = self.answer  # type: ignore[method-assign]

    def answer(self, questions: Any) -> Any:
        self.asked.set()
        assert self.may.wait(20)
        time.sleep(self._seconds * len(questions))
        return self._own(questions)

    def held(self, one: Server, clients: ThreadPoolExecutor, requests: int) -> list[Future[Answered]]:
        """So many requests, of which the model has the first, and all others wait."""
        self.asked.clear()
        self.may.clear()
        found = [clients.submit(one.ask, "/v1/classify", BODY)]
        assert self.asked.wait(20)
        found += [clients.submit(one.ask, "/v1/classify", BODY) for _ in range(requests - 1)]
        within(lambda: one.app.state.service.batcher.waiting == len(TEXTS) * (requests - 1))
        return found


def write_slowly(scribe: Any) -> None:
    """Let every token take a while."""
    own = scribe.step

    def step() -> None:
        time.sleep(0.1)
        own()

    scribe.step = step


def is_told_so(found: Answered) -> bool:
    """Whether an answer says that the server stopped, and when another may be asked."""
    error = found.json["error"]
    assert (found.status, error["type"], found.headers["retry-after"]) == (503, "server_error", "1")
    assert error["message"] == "the server has stopped before this was done: ask again"
    return True


def test_many_are_answered_whole_and_the_others_are_told(root: Path) -> None:
    right = [one.label for one in alone(root, "one", FAMILY, TEXTS)]
    with stopping(root, 1.5) as (one, clients):
        slow = Slow(one.app.state.service.engine, 0.03)
        assert one.ask("/v1/classify", BODY).status == 200
        found = slow.held(one, clients, 24)  # 2.9 s of work
        slow.may.set()
    answers = [future.result() for future in found]
    good = [answer for answer in answers if answer.status == 200]
    assert all([row["label"] for row in answer.json["data"]] == right for answer in good)
    assert 4 <= len(good) < 24
    assert all(answer in good or is_told_so(answer) for answer in answers)


def test_all_are_answered_where_there_is_time(root: Path) -> None:
    with stopping(root, 20) as (one, clients):
        slow = Slow(one.app.state.service.engine, 0.01)
        found = slow.held(one, clients, 12)
        threading.Timer(0.5, slow.may.set).start()
    assert [future.result().status for future in found] == [200] * 12


def test_a_stream_ends_with_what_became_of_it(root: Path) -> None:
    with stopping(root, 0.5) as (one, _):
        write_slowly(one.app.state.service.batcher._scribe)
        answer = _opened(one, {"model": "writer", "prompt": TEXTS[0], "stream": True})
        assert answer.readline().startswith(b"HTTP/1.1 200")
        while not (line := answer.readline()).startswith(b"data: "):
            assert line
    events = [line.removeprefix(b"data: ") for line in answer.read().splitlines() if line.startswith(b"data: ")]
    error = json.loads(events[-1])["error"]
    assert error["type"] == "server_error"
    assert error["message"] == "the server has stopped before this was done: ask again"


def test_a_text_that_is_written_to_its_end_first_is_told(root: Path) -> None:
    with stopping(root, 0.5) as (one, clients):
        batcher = one.app.state.service.batcher
        write_slowly(batcher._scribe)
        found = clients.submit(one.ask, "/v1/completions", {"model": "writer", "prompt": TEXTS[0]})
        within(lambda: batcher.writing > 0)
    assert is_told_so(found.result())


def test_a_body_that_has_no_end_is_answered(root: Path) -> None:
    with stopping(root, 0.4) as (one, _):
        answer = _opened(one, BODY, whole=False)
        within(lambda: len(one.app.state.service.accepted._waiting) == 1)
    told = answer.read()
    assert told.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1" in told.lower()


def test_a_request_whose_text_is_not_encoded_yet_is_answered(root: Path) -> None:
    let = threading.Event()
    with stopping(root, 0.4) as (one, clients):
        engine: Any = one.app.state.service.engine
        own: Callable[..., Any] = engine.ask

        def held(*args: Any) -> Any:
            let.wait(10)
            return own(*args)

        engine.ask = held
        found = clients.submit(one.ask, "/v1/classify", BODY)
        within(lambda: len(one.app.state.service.accepted._waiting) == 1)
        found.add_done_callback(lambda _: let.set())
    assert is_told_so(found.result())


def test_rows_that_are_cut_off_are_told_whoever_runs_the_application(root: Path) -> None:
    with stopping(root, 5) as (one, clients):
        service = one.app.state.service
        slow = Slow(service.engine, 0.0)
        found = slow.held(one, clients, 2)
        assert service.batcher.cut() == 2 * len(TEXTS)
        slow.may.set()
        assert all(is_told_so(future.result()) for future in found)
        late = one.ask("/v1/classify", BODY)
        assert (late.status, late.json["error"]["message"]) == (503, "the server is stopping: ask another one")
        assert one.ask("/readyz").status == 503


def _opened(one: Server, body: Any, *, whole: bool = True) -> Any:
    """A request that is sent, whole or not, and its answer to be read."""
    data = json.dumps(body).encode()
    head = f"Host: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
    path = "/v1/completions" if "prompt" in body else "/v1/classify"
    connection = socket.create_connection(("127.0.0.1", one.port), timeout=30)
    connection.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n\r\n".encode() + (data if whole else data[:5]))
    answer = connection.makefile("rb")
    connection.close()  # once the file is closed, too
    return answer
