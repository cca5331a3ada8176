"""The server as a program: what is typed wrong, and how it stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import SoftPromptError
from softprompt.serving.run import options_of

from ..shared.served import TEXTS, Server, alone, put


def test_limits_are_typed_as_name_and_value() -> None:
    assert options_of(["queue_rows=3", "wait=0.5"]).queue_rows == 3
    for bad, told in {"queue_rows": "has no '='", "queue_row=3": "did you mean", "wait=-1": "greater than"}.items():
        with pytest.raises(SoftPromptError, match=told):
            options_of([bad])
    with pytest.raises(SoftPromptError, match="'wait' is given twice"):
        options_of(["wait=1", "queue_rows=3", "wait=2"])


BODY = {"model": "one", "input": TEXTS}
_PROGRAM = """
import sys, threading, time
from pathlib import Path
from tests.shared.served import backbone
from softprompt.serving.app import create_app
from softprompt.serving.engine import Engine
from softprompt.serving.listening import listen
from softprompt.serving.options import ServingOptions
from softprompt.serving.run import serve
engine = Engine(backbone("bert"), Path(sys.argv[1]))
answer = engine.answer
def slowly(questions):
    time.sleep(float(sys.argv[2]))
    return answer(questions)
engine.answer = slowly
with listen("127.0.0.1", 0) as own:
    app = create_app(engine)
    print(own.getsockname()[1], flush=True)
    serve(app, own, ServingOptions())
print("drained", flush=True)
"""


@contextmanager
def program(root: Path, seconds: float) -> Iterator[tuple[subprocess.Popen[str], Server]]:
    """A server in a process of its own, which takes so long for each pass."""
    put(root, "one", "bert", "prompt_tuning", {"num_virtual_tokens": 2})
    own = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(root), str(seconds)], stdout=subprocess.PIPE, text=True, env=own
    ) as run:
        assert run.stdout is not None
        server = Server(int(run.stdout.readline()), None)
        while True:
            try:
                if server.ask("/readyz").status == 200:
                    break
            except OSError:
                assert run.poll() is None
        yield run, server


def test_sigterm_answers_what_was_accepted_and_ends_well(tmp_path: Path) -> None:
    root = tmp_path / "prompts"
    with program(root, 0.6) as (run, server):
        assert run.stdout is not None
        right = alone(root, "one", "bert", TEXTS)
        found: list[Any] = []
        asking = [threading.Thread(target=lambda: found.append(server.ask("/v1/classify", BODY))) for _ in range(4)]
        for one in asking:
            one.start()
        threading.Event().wait(0.3)
        run.send_signal(signal.SIGTERM)
        for one in asking:
            one.join()
        assert run.stdout.read().strip() == "drained"
    assert run.returncode == 0
    assert [one.status for one in found] == [200] * 4
    for one in found:
        assert [row["label"] for row in one.json["data"]] == [answer.label for answer in right]


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with program(tmp_path / "prompts", 60) as (run, server):
        asking = threading.Thread(target=lambda: pytest.raises(OSError, server.ask, "/v1/classify", BODY))
        asking.start()
        threading.Event().wait(0.3)
        run.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            run.wait(1)
        run.send_signal(signal.SIGTERM)
        assert run.wait(10) == -signal.SIGTERM
        asking.join()
