"""The application over a socket: what it answers, whom it refuses, and what it says of itself."""

from __future__ import annotations

import base64
import gc
import json
import logging
import shutil
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ..shared.served import GENERATION, MIXED, TEXTS, Server, alone, put, put_mixed, server, within

FAMILY = "llama"
FREE = {**GENERATION, "wishes": {"max_new_tokens": 9}}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("app") / "prompts"
    put_mixed(found, FAMILY)
    put(found, "writer", FAMILY, "prompt_tuning", {"num_virtual_tokens": 3}, seed=7, **FREE)
    put(found, "other_writer", FAMILY, "capt", {}, seed=8, **FREE)
    put(found, "head", FAMILY, "prompt_tuning", {"num_virtual_tokens": 2}, seed=9, wishes={"readout": "head"})
    return found


@pytest.fixture(scope="module")
def served(root: Path) -> Iterator[Server]:
    with server(root, FAMILY) as one:
        yield one


@pytest.fixture(scope="module")
def expected(root: Path) -> dict[str, Any]:
    return {name: alone(root, name, FAMILY, TEXTS) for name in (*MIXED, "head", "writer", "other_writer")}


def test_several_tasks_and_texts_at_once(served: Server, expected: dict[str, Any]) -> None:
    names = [*MIXED, "head", "writer"]
    said = served.ask("/v1/classify", {"model": names, "input": TEXTS}).json
    assert [(one["model"], one["index"]) for one in said["data"]] == [(n, i) for n in names for i in range(len(TEXTS))]
    for one in said["data"]:
        own = expected[one["model"]][one["index"]]
        assert (one["label"], one["word"]) == (own.label, own.word)
        assert one["probabilities"] == pytest.approx(own.probabilities, abs=1e-5)
    one = served.ask("/v1/classify", {"model": "static", "input": {"text": TEXTS[1]}}).json["data"]
    assert [row["label"] for row in one] == [expected["static"][1].label]


def test_eight_clients_at_once_get_what_each_gets_alone(served: Server, expected: dict[str, Any]) -> None:
    names = list(MIXED)

    def client(place: int) -> list[tuple[str, int, float]]:
        found = []
        for turn in range(6):
            name, index = names[(place + turn) % len(names)], (place * turn) % len(TEXTS)
            if place == 7:
                name = ("writer", "other_writer")[turn % 2]
                text = served.ask("/v1/completions", {"model": name, "prompt": TEXTS[index]}).json["choices"][0]["text"]
                assert text == expected[name][index].label
                continue
            (row,) = served.ask("/v1/classify", {"model": name, "input": TEXTS[index]}).json["data"]
            found.append((name, index, row["probabilities"]["0"]))
        return found

    with ThreadPoolExecutor(8) as pool:
        for name, index, chance in (one for found in pool.map(client, range(8)) for one in found):
            assert chance == pytest.approx(expected[name][index].probabilities["0"], abs=1e-5)


def test_the_official_client_completes_chats_streams_and_embeds(served: Server, expected: dict[str, Any]) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)
    assert {one.id for one in client.models.list()} == {*MIXED, "writer", "other_writer", "head"}
    own = expected["writer"]
    whole = client.completions.create(model="writer", prompt=TEXTS)
    assert [one.text for one in whole.choices] == [one.label for one in own]
    assert {one.finish_reason for one in whole.choices} <= {"stop", "length"}
    assert whole.usage is not None
    assert whole.usage.completion_tokens > 0
    parts = list(client.completions.create(model="writer", prompt=TEXTS[:2], stream=True))
    for index in (0, 1):
        choices = [one.choices[0] for one in parts if one.choices[0].index == index]
        assert "".join(one.text for one in choices) == own[index].label
        assert choices[-1].finish_reason in ("stop", "length")
        assert len(choices) > 2
    said = [{"role": "user", "content": TEXTS[0]}]
    assert client.chat.completions.create(model="writer", messages=said).choices[0].message.content == own[0].label
    usage = {"include_usage": True}
    stream = list(client.chat.completions.create(model="writer", messages=said, stream=True, stream_options=usage))
    assert "".join(one.choices[0].delta.content or "" for one in stream[:-1]) == own[0].label
    assert stream[-1].usage.total_tokens > 0
    word = client.chat.completions.create(model="static", messages=said).choices[0].message.content
    assert word == expected["static"][0].word
    (short,) = client.completions.create(model="writer", prompt=TEXTS[0], max_tokens=2).choices
    assert own[0].label.startswith(short.text)
    assert short.finish_reason == "length"
    stopped = client.completions.create(model="writer", prompt=TEXTS[0], stop=own[0].label.split()[1]).choices[0]
    assert (stopped.text, stopped.finish_reason) == (own[0].label.split()[0], "stop")
    floats = client.embeddings.create(model="head", input=TEXTS[:2], encoding_format="float").data
    packed = served.ask("/v1/embeddings", {"model": "head", "input": TEXTS[:2], "encoding_format": "base64"}).json[
        "data"
    ]
    assert len(floats[0].embedding) == 32
    for one, other in zip(floats, packed, strict=True):
        assert struct.unpack("<32f", base64.b64decode(other["embedding"])) == pytest.approx(one.embedding, abs=1e-6)
    with pytest.raises(openai.NotFoundError, match="not served"):
        client.completions.create(model="nobody", prompt="x")
    with pytest.raises(openai.BadRequestError, match="no embedding"):
        client.embeddings.create(model="static", input="w20")


def test_draws_are_repeated_by_their_seed(served: Server) -> None:
    body = {"model": "writer", "prompt": TEXTS[0], "temperature": 2, "max_tokens": 12}
    drawn = [served.ask("/v1/completions", {**body, "seed": seed}).json["choices"][0]["text"] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    narrow = served.ask("/v1/completions", {**body, "seed": 3, "top_p": 1e-6, "max_tokens": 9}).json
    greedy = served.ask("/v1/completions", {**body, "temperature": 0, "max_tokens": 9}).json
    assert narrow["choices"] == greedy["choices"]


BAD: dict[str, tuple[str, Any, int, str]] = {
    "no such prompt": ("/v1/classify", {"model": "../static", "input": "w20"}, 404, "not served"),
    "a field too many": ("/v1/classify", {"model": "static", "input": "w20", "k": 1}, 400, "k: Extra inputs"),
    "a field too few": ("/v1/classify", {"model": "static"}, 400, "input: Field required"),
    "an unknown field of the task": ("/v1/classify", {"model": "static", "input": {"words": "w20"}}, 400, "text"),
    "no json": ("/v1/classify", b"{", 400, ""),
    "no unicode": ("/v1/classify", b'{"model": "\xff"}', 400, ""),
    "half a pair": ("/v1/classify", b'{"model": "static", "input": "\\ud800"}', 400, ""),
    "deep": ("/v1/classify", b'{"model": "static", "input": ' + b"[" * 99 + b"]" * 99 + b"}", 400, "inside each other"),
    "many rows": ("/v1/classify", {"model": "static", "input": ["w20"] * 300}, 413, "at most 256"),
    "a long text": ("/v1/classify", {"model": "static", "input": "w" * 100_001}, 413, "characters"),
    "a large body": ("/v1/classify", b" " * (1 << 21), 413, "bytes"),
    "many tokens": ("/v1/completions", {"model": "writer", "prompt": "w20", "max_tokens": 5000}, 400, "at most 1024"),
    "no room": ("/v1/completions", {"model": "writer", "prompt": "w20", "max_tokens": 500}, 400, "there is room for"),
    "several answers": ("/v1/completions", {"model": "writer", "prompt": "w20", "n": 2}, 400, "n: "),
    "a system's message": (
        "/v1/chat/completions", {"model": "writer", "messages": [{"role": "system", "content": "x"}]}, 400, "role user",
    ),
    "no such route": ("/v1/nothing", {}, 404, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", list(BAD))
def test_what_is_wrong_is_refused_in_a_line(case: str, served: Server, root: Path) -> None:
    path, body, status, words = BAD[case]
    found = served.ask(path, body)
    assert found.status == status, found.body
    message = found.json["error"]["message"]
    assert words in message
    assert "\n" not in message
    assert str(root) not in message
    assert "Traceback" not in message
    assert found.headers["x-request-id"]


def test_who_is_not_named_this_machine_and_who_sends_no_json_are_refused(root: Path) -> None:
    with server(root, FAMILY, own_hosts=True) as own:
        assert own.ask("/v1/models", headers={"Host": "attacker.example"}).status == 421
        for host in ("localhost:1", "LOCALHOST", "[::1]:1", "::1", "127.0.0.1:1", "127.8.9.10:1"):  # of `--host`, too
            assert own.ask("/v1/models", headers={"Host": host}).status == 200
        for host in ("[::]:1", "192.168.1.4:1", "localhost.attacker.example:1", ""):
            assert own.ask("/v1/models", headers={"Host": host}).status == 421
        assert own.ask("/v1/classify", b"{}", {"Content-Type": "text/plain"}).status == 415


def test_a_token_is_asked_for_everywhere_but_where_nothing_is_told(root: Path) -> None:
    token = "a" * 20
    with server(root, FAMILY, token=token) as own:
        for path in ("/v1/models", "/metrics", "/openapi.json", "/v1/models/static"):
            assert own.ask(path).status == 401
            assert own.ask(path, headers={"Authorization": f"Bearer {token}b"}).status == 401
            assert own.ask(path, headers={"Authorization": f"Basic {token}"}).status == 401
            assert own.ask(path, headers={"Authorization": f"Bearer {token}"}).status == 200
        assert own.ask("/v1/classify", {"model": "static", "input": "w20"}).headers["www-authenticate"] == "Bearer"
        for path in ("/", "/docs", "/healthz", "/readyz"):
            found = own.ask(path)
            assert found.status == 200
            assert b"static" not in found.body.replace(b"position: static", b"")


def test_prompts_come_change_and_go_while_it_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "prompts"
    put(root, "first", FAMILY, "prompt_tuning", {"num_virtual_tokens": 2}, seed=1)

    def names() -> list[str]:
        return [one["id"] for one in own.ask("/v1/models").json["data"]]

    def chance(name: str) -> float:
        found: float = own.ask("/v1/classify", {"model": name, "input": TEXTS[0]}).json["data"][0]["probabilities"]["0"]
        return found

    def right(name: str) -> float:
        return alone(root, name, FAMILY, TEXTS[:1])[0].probabilities["0"]

    with server(root, FAMILY) as own:
        assert names() == ["first"]
        before = chance("first")
        put(root, "second", FAMILY, "capt", {}, seed=2)
        (root / "broken").mkdir()
        (root / "broken" / "prompt.json").write_text("{}")
        (root / "bad name").mkdir()
        (root / "out").symlink_to(tmp_path)
        within(lambda: names() == ["first", "second"])
        assert chance("second") == pytest.approx(
            alone(root, "second", FAMILY, TEXTS[:1])[0].probabilities["0"], abs=1e-5
        )
        shutil.rmtree(root / "first")
        put(root, "first", FAMILY, "prompt_tuning", {"num_virtual_tokens": 4}, seed=5)
        within(lambda: names() == ["first", "second"] and chance("first") != before)
        assert chance("first") == pytest.approx(right("first"), abs=1e-5)
        shutil.rmtree(root / "second")
        within(lambda: names() == ["first"])
        assert own.ask("/v1/classify", {"model": "second", "input": "w20"}).status == 404
        text = own.ask("/metrics").body.decode()
        assert 'softprompt_prompts{state="served"} 1.0' in text
    told = [one.getMessage() for one in caplog.records if "is not served" in one.getMessage()]
    assert len(told) == 3, told
    assert [sum(one.startswith(name) for one in told) for name in ("broken", "bad name", "out")] == [1, 1, 1]


def test_a_look_that_fails_is_not_the_last(tmp_path: Path) -> None:
    root = tmp_path / "prompts"
    root.mkdir()
    with server(root, FAMILY) as own:
        engine = own.app.state.service.engine
        look, looks = engine.look, []

        def failing() -> None:
            looks.append(1)
            if len(looks) == 1:
                raise RuntimeError("once")
            look()

        engine.look = failing
        within(lambda: len(looks) == 1)
        put(root, "late", FAMILY, "prompt_tuning", {"num_virtual_tokens": 2})
        within(lambda: engine.shelf.names == ["late"])


def test_who_goes_away_leaves_and_a_full_queue_says_when_to_come_again(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with server(root, FAMILY, limits={"queue_rows": 3, "writing_rows": 1}) as own:
        engine = own.app.state.service.engine
        batcher = own.app.state.service.batcher
        with engine.shelf.lock:  # the model is busy for as long as this is held
            body = json.dumps({"model": "static", "input": ["w20", "w30"]}).encode()
            form = f"Content-Type: application/json\r\nContent-Length: {len(body)}"
            head = f"POST /v1/classify HTTP/1.1\r\nHost: x\r\n{form}\r\n\r\n"
            first, second = (socket.create_connection(("127.0.0.1", own.port)) for _ in range(2))
            first.sendall(head.encode() + body)
            within(lambda: batcher.taken == 2)
            second.sendall(head.encode() + body)
            within(lambda: batcher.waiting == 2)
            full = own.ask("/v1/classify", {"model": "static", "input": ["w20", "w30"]})
            assert full.status == 429
            assert 1 <= int(full.headers["retry-after"]) <= 60
            second.close()
            within(lambda: batcher.waiting == 0)
        answer = first.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200")
        first.close()
    gc.collect()
    assert [one for one in caplog.records if one.name == "asyncio" and one.levelno >= logging.WARNING] == []


def test_a_line_of_the_log_has_the_request_and_no_text(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "softprompt.serving.requests")
    with server(root, FAMILY) as own:
        own.ask("/v1/classify", {"model": "static", "input": "w20 w77"}, {"X-Request-Id": "mine-1"})
    (line,) = (json.loads(one.getMessage()) for one in caplog.records if one.name == "softprompt.serving.requests")
    assert (line["id"], line["status"], line["path"]) == ("mine-1", 200, "/v1/classify")
    assert (line["models"], line["rows"]) == (["static"], 1)
    assert "w77" not in json.dumps(line)
    caplog.clear()
    with server(root, FAMILY, log_texts=True) as own:
        own.ask("/v1/classify", {"model": "static", "input": "w20 w77"})
    assert "w77" in caplog.records[-1].getMessage()
