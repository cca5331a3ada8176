"""A studio of small things: a folder of runs, asked in this process, or in a thread of its own for a browser."""

from __future__ import annotations

import csv
import io
import json
import random
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import uvicorn
from fastapi.testclient import TestClient

from softprompt.backbones.load import load_backbone
from softprompt.cli.main import app
from softprompt.methods import PromptTuning
from softprompt.studio.app import application
from softprompt.studio.jobs import Job, Jobs
from softprompt.studio.server import opened
from softprompt.studio.state import Studio
from softprompt.tasks import Task
from softprompt.training.run import train

from .tables_of_runs import bench

TEAMS = ("post", "tech", "desk")
HISTORY = [{"step": step, "train_loss": 1 / (step + 1), "loss": 0.5, "accuracy": 0.5 + step / 20} for step in range(5)]


@contextmanager
def asked(folder: Path) -> Iterator[tuple[Studio, TestClient]]:
    """A studio, and a client of it that comes from its own pages."""
    studio = Studio(folder, ("capt", "prompt_tuning"))
    with TestClient(application(studio), base_url="http://127.0.0.1:1", follow_redirects=False) as client:
        yield studio, client
    studio.end()


@contextmanager
def listening(folder: Path) -> Iterator[tuple[Studio, str]]:
    """A studio at an address of this machine."""
    studio, place = Studio(folder, ("capt", "prompt_tuning")), opened("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(application(studio), log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield studio, f"http://127.0.0.1:{place.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    place.close()
    studio.end()


def tickets(path: Path, rows: int = 60) -> Path:
    """A table of numbered tickets in words that tiny models know, each with its team."""
    chance = random.Random(2)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ticket", "message", "team"])
        for place in range(rows):
            words = " ".join(f"w{chance.randint(20, 90)}" for _ in range(6))
            writer.writerow([place, words, TEAMS[place % len(TEAMS)]])
    return path


def going(run: Path, history: list[dict[str, Any]], step: int, steps: int = 40) -> Path:
    """The folder of a run that is not finished, with a checkpoint."""
    place = run / "state" / f"checkpoint-{step}"
    place.mkdir(parents=True, exist_ok=True)
    begun = {"task": "words", "method": "capt", "backbone": "tiny", "seed": 3}
    (run / "run.json").write_text(json.dumps({**begun, "task_definition": {"metrics": ["accuracy"]}}))
    (place / "state.json").write_text(json.dumps({"history": history}))
    (place / "trainer_state.json").write_text(json.dumps({"global_step": step, "max_steps": steps}))
    return run


def trained(folder: Path) -> Path:
    """A folder of two runs on a tiny backbone that lies beside it: `a` of prompt tuning, and `table/b` of CaPT."""
    made = bench(folder / "made")
    backbone, runs = load_backbone(str(made.folder / "llama")), folder / "runs"
    words = Task.load(str(made.folder / "task.yaml"), made.folder / "rows.jsonl")
    quick: dict[str, Any] = {"max_steps": 4, "evaluations": 2, "batch_size": 4, "progress": False}
    train(backbone, words, PromptTuning(num_virtual_tokens=2), output=runs / "a", seed=1, learning_rate=0.1, **quick)
    train(backbone, words, "capt", output=runs / "table" / "b", seed=1, learning_rate=0.1, **quick)
    return runs


class Finished(Job):
    """Commands that were run in this process, before anybody could ask how they stand."""

    def __init__(self, commands: Sequence[Sequence[str]], environment: dict[str, str]) -> None:
        super().__init__([], environment)
        self.wait(1)
        self.commands = [list(words) for words in commands]
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said), warnings.catch_warnings():
            for words in self.commands:
                app(words[1:], standalone_mode=False)
        self.said.extend(said.getvalue().splitlines())


def at_once(jobs: Jobs) -> None:
    """Let commands be run in this process: a new one would import torch."""

    def begin(name: str, commands: Sequence[Sequence[str]]) -> Job:
        jobs._known[name] = Finished(commands, {})
        return jobs._known[name]

    jobs.begin = begin  # type: ignore[method-assign]  # of this one alone
