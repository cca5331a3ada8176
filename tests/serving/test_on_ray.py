"""Replicas of Ray Serve: the same answers from each, and one that is killed costs nothing that is asked again."""

from __future__ import annotations

import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from softprompt.backbones import load
from softprompt.errors import SoftPromptError
from softprompt.serving.on_ray import Order, Replicas
from softprompt.serving.options import ServingOptions

from ..shared.models import model, tokenizer
from ..shared.served import TEXTS, Server, alone, put


def test_replicas_are_typed_as_a_number_or_two() -> None:
    assert (Replicas.of("2"), Replicas.of("1-4")) == (Replicas(2, 2), Replicas(1, 4))
    for text in ("", "0", "-1", "3-2", "a", "1-", "-", "1-4-6", "²"):
        with pytest.raises(SoftPromptError, match="give a number, or two"):
            Replicas.of(text)


@pytest.mark.parametrize("int8", [False, True])
def test_the_backbone_is_loaded_as_ordered(int8: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def loaded(name: str, **options: object) -> None:
        asked.append((name, options))
        raise SoftPromptError("far enough")

    monkeypatch.setattr(load, "load_backbone", loaded)
    with pytest.raises(SoftPromptError, match="far enough"):
        Order("one", str(tmp_path), None, ServingOptions(), None, False, "float32", "cpu", int8).app()
    assert asked == [("one", {"dtype": "float32", "device": "cpu", "int8": int8})]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_one_of_two_replicas_is_killed_under_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray begins another; a request that died with the replica is answered when it is asked once more."""
    if find_spec("ray") is None:
        pytest.skip("needs Ray Serve: pip install 'softprompt[cluster]'")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else a busy machine keeps Ray's own actors waiting for minutes
    monkeypatch.setenv("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60")
    import psutil
    import ray
    from ray import serve

    from softprompt.serving.listening import listen
    from softprompt.serving.on_ray import deploy

    for name in ("one", "two"):
        put(tmp_path / "prompts", name, "bert", "prompt_tuning", {"num_virtual_tokens": len(name)})
    right = {name: alone(tmp_path / "prompts", name, "bert", TEXTS) for name in ("one", "two")}
    model("bert").save_pretrained(tmp_path / "backbone")
    tokenizer().save_pretrained(tmp_path / "backbone")
    with listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    where = str(tmp_path / "backbone"), str(tmp_path / "prompts")
    order = Order(*where, None, ServingOptions(), "a-token-of-this-test", False, "float32", None)
    counts, stop = {"asked": 0, "again": 0}, threading.Event()
    wrong: list[object] = []
    server, own = Server(port, None), {"Authorization": "Bearer a-token-of-this-test"}

    def client(name: str) -> None:
        while not stop.is_set():
            for turn in range(30):
                try:
                    found = server.ask("/v1/classify", {"model": name, "input": TEXTS}, own)
                except OSError:
                    found = None
                if found is not None and found.status == 200:
                    break
                counts["again"] += 1
                time.sleep(0.1 * (1 + turn))
            else:
                wrong.append((name, found))
                return
            counts["asked"] += 1
            if [row["label"] for row in found.json["data"]] != [answer.label for answer in right[name]]:
                wrong.append(found.json)

    try:
        deploy(order, "127.0.0.1", port, Replicas(2, 2))
        clients = [threading.Thread(target=client, args=(name,)) for name in ("one", "two") * 4]
        for one in clients:
            one.start()
        time.sleep(3)
        replicas = [
            one
            for one in psutil.process_iter(["cmdline"])
            if "ServeReplica:softprompt" in " ".join(one.info["cmdline"] or ())
        ]
        assert len(replicas) == 2
        replicas[0].kill()
        time.sleep(8)
        stop.set()
        for one in clients:
            one.join()
    finally:
        stop.set()
        serve.shutdown()
        ray.shutdown()
    print(counts)
    assert not wrong
    assert counts["asked"] > 20
