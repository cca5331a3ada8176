"""I7: train(10) == train(5) + stop + resume + train(5), bit for bit, for every method and family."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from softprompt.training.run import Interrupted

from ..shared.prompts import METHODS, TRAINED, every_family
from ..shared.runs import PROMPT, Interrupting, run, task


def places(done: Any) -> list[tuple[str | None, int]]:
    """Where the entries of a run's history stand: its steps, and the turns of a search."""
    return [(one.get("stage"), one.get("step", one.get("turn"))) for one in done.metrics["history"]]


@every_family
@pytest.mark.parametrize("method", [*TRAINED, "head_only"])
def test_stopped_and_resumed_gives_the_same_bytes(method: str, family: str, tmp_path: Path) -> None:
    chosen = METHODS[method]
    mixes = chosen.name == "soft_words"  # label words, and nothing else
    extra = {"readout": "head"} if family in ("bert", "t5") and not mixes else {}
    straight = run(tmp_path / "a", family, chosen, **extra)
    with pytest.raises(Interrupted, match="resume"):
        run(tmp_path / "b", family, chosen, **{**extra, "progress": Interrupting(3)})
    assert not (tmp_path / "b" / "run" / "metrics.json").exists()
    resumed = run(tmp_path / "b", family, chosen, resume=True, **extra)
    assert (tmp_path / "a" / PROMPT).read_bytes() == (tmp_path / "b" / PROMPT).read_bytes()
    assert places(straight) == places(resumed)
    assert straight.metrics["test"] == resumed.metrics["test"]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name in "ab":
        run(tmp_path / name, "llama", METHODS["capt"])
    assert (tmp_path / "a" / PROMPT).read_bytes() == (tmp_path / "b" / PROMPT).read_bytes()
    from softprompt.training.run import train

    from ..shared.models import model, tokenizer

    train(
        model("llama"), tokenizer(), task(tmp_path / "data"), METHODS["capt"], output=tmp_path / "c", seed=4,
        max_steps=10, evaluations=2, batch_size=4, progress=False, learning_rate=1e-2,
    )  # fmt: skip
    assert (tmp_path / "c" / "prompt" / "prompt.safetensors").read_bytes() != (tmp_path / "a" / PROMPT).read_bytes()


_KILLED = """
import pathlib, signal, sys
from tests.shared.runs import Interrupting, run
from tests.shared.prompts import METHODS
progress = Interrupting(13)
progress.sent = signal.SIGKILL
run(pathlib.Path(sys.argv[1]), "llama", METHODS["prompt_tuning"], max_steps=20, evaluations=4, progress=progress)
"""


def test_a_killed_process_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    """Killed between the checkpoints of steps 10 and 15, in a process of its own."""
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", _KILLED, str(tmp_path / "killed")]
    assert subprocess.run(command, cwd=root, env=environment, capture_output=True).returncode == -signal.SIGKILL
    assert list((tmp_path / "killed" / "run" / "state").glob("**/checkpoint-10"))
    assert not (tmp_path / "killed" / "run" / "metrics.json").exists()
    steps = {"max_steps": 20, "evaluations": 4}
    run(tmp_path / "killed", "llama", METHODS["prompt_tuning"], resume=True, **steps)
    run(tmp_path / "whole", "llama", METHODS["prompt_tuning"], **steps)
    assert (tmp_path / "whole" / PROMPT).read_bytes() == (tmp_path / "killed" / PROMPT).read_bytes()


def test_no_pickle_is_written_or_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("torch.load or torch.save was called")

    monkeypatch.setattr(torch, "load", refuse)
    monkeypatch.setattr(torch, "save", refuse)
    with pytest.raises(Interrupted):
        run(tmp_path, "gpt2", METHODS["capt"], progress=Interrupting(3))
    run(tmp_path, "gpt2", METHODS["capt"], resume=True)
    endings = {path.suffix for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert endings <= {".json", ".safetensors", ".md"}
