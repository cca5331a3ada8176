"""`softprompt serve`: what is wrong is a line before a model is loaded, and the rest is the application."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

import softprompt.serving.on_ray as on_ray
import softprompt.serving.run as running

from ..shared.addresses import having
from ..shared.commands import done, refusal
from ..shared.models import model, tokenizer
from ..shared.served import put

HOSTS = [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("[::1]", "[::1]"), ("localhost", "localhost")]


@pytest.mark.parametrize(("options", "told"), [
    (["--host", "0.0.0.0"], "there is no token: give --token-file"),
    (["--host", "[::]"], "there is no token: give --token-file"),
    (["--set", "wait"], "has no '='"),
    (["--set", "queue=1"], "queue_rows"),
    (["--replicas", "2"], "give --on ray with it"),
    (["--on", "ray", "--replicas", "3-2"], "give a number, or two as 1-4"),
    (["--on", "slurm"], "give ray, or the address"),
    (["--prompts", "nowhere"], "is not there: name a folder"),
])  # fmt: skip
def test_faults_are_told_before_a_model_is_loaded(options: list[str], told: str, tmp_path: Path) -> None:
    given = [] if "--prompts" in options else ["--prompts", str(tmp_path)]
    assert told in refusal("serve", "--backbone", "no/such", *given, *options)


@pytest.mark.parametrize(("host", "shown"), HOSTS)
def test_the_prompts_of_the_folder_are_served_at_the_port(
    host: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "prompts", "one", "bert", "prompt_tuning", {"num_virtual_tokens": 2})
    model("bert").save_pretrained(tmp_path / "backbone")
    tokenizer().save_pretrained(tmp_path / "backbone")
    found: dict[str, Any] = {}

    def keep(app: Any, own: Any, options: Any) -> None:
        found.update(engine=app.state.service.engine, address=own.getsockname()[:2], options=options)
        found["engine"].look()

    monkeypatch.setattr(running, "serve", keep)
    where = ["--backbone", str(tmp_path / "backbone"), "--prompts", str(tmp_path / "prompts"), "--port", "0"]
    told = done("serve", *where, "--set", "queue_rows=7", "--dtype", "float32", "--host", having(host))
    address, port = found["address"]
    assert f"at http://{shown}:{port}/\n" in told.out
    assert shown in (f"[{address}]", address, "localhost")
    assert (found["engine"].shelf.names, found["options"].queue_rows) == (["one"], 7)
    found["engine"].close()


def test_a_free_port_is_found_before_replicas_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[int] = []
    monkeypatch.setattr(on_ray, "check_ray", lambda: None)
    monkeypatch.setattr(on_ray, "serve_on_ray", lambda order, host, port, *_: found.append(port))
    (tmp_path / "prompts").mkdir()
    where = ["--backbone", "no/such", "--prompts", str(tmp_path / "prompts")]
    told = done("serve", *where, "--on", "ray", "--port", "0").out
    assert found[0] > 0
    assert f"at http://127.0.0.1:{found[0]}/ from replicas on Ray" in told
    with socket.create_server(("127.0.0.1", 0)) as own:
        taken = str(own.getsockname()[1])
        assert "choose another" in refusal("serve", *where, "--on", "ray", "--port", taken)
    assert "a cluster elsewhere listens" in refusal("serve", *where, "--on", "ray://192.0.2.1:10001", "--port", "0")
    assert len(found) == 1
