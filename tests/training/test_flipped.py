"""A run whose files were damaged goes on to the same bytes or says in one line what is damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from softprompt.errors import Interrupted, SoftPromptError
from softprompt.progress import Progress
from softprompt.training.run import open_run

from ..attacks.flipped import FINISHED, MADE_AGAIN, REFUSED, UNREAD, again, attack, stopped
from ..shared.prompts import METHODS
from ..shared.runs import Interrupting, run


class Told(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(shown=False)
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def test_a_part_of_the_attack() -> None:
    """`benchmarks/reliability.py --only flipped` damages every file in every way."""
    found = attack(lambda: None, runs=[("prompt_tuning", 7, 1), ("prompt_tuning", FINISHED, 1)], every=29)
    assert found.keys() <= {MADE_AGAIN, REFUSED, UNREAD}
    assert found[MADE_AGAIN] > found[REFUSED]


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("half")
    stopped("prompt_tuning", folder, 7)
    return folder


@pytest.fixture(scope="module")
def expected(half: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("whole") / "copy"
    shutil.copytree(half, folder)
    again("prompt_tuning", folder)
    return (folder / "run" / "prompt" / "prompt.safetensors").read_bytes()


@pytest.mark.parametrize("bad", [1, 2])
def test_a_damaged_checkpoint_is_set_aside_and_told(bad: int, half: Path, expected: bytes, tmp_path: Path) -> None:
    """With one of two damaged the other serves; with both the stage begins again."""
    folder = tmp_path / "copy"
    shutil.copytree(half, folder)
    state = folder / "run" / "state"
    checkpoints = sorted(state.iterdir(), key=lambda path: int(path.name.split("-")[1]))
    assert len(checkpoints) == 2
    for path in checkpoints[-bad:]:
        (path / "trainer_state.json").write_text("{")
    told, counted = Told(), Interrupting(10**6)
    told.work = counted.work  # type: ignore[method-assign]
    again("prompt_tuning", folder, progress=told)
    assert (folder / "run" / "prompt" / "prompt.safetensors").read_bytes() == expected
    lines = [line for line in told.lines if "trainer_state.json" in line]
    assert len(lines) == bad
    assert all("\n" not in line and "goes on from before it" in line for line in lines)
    assert len([path for path in state.iterdir() if path.name.startswith("damaged-")]) == bad


def test_a_finished_run_that_was_damaged_is_made_again(tmp_path: Path) -> None:
    done = run(tmp_path, "llama", METHODS["prompt_tuning"])
    folder = tmp_path / "run"
    tensors = (folder / "prompt" / "prompt.safetensors").read_bytes()
    metrics = json.loads((folder / "metrics.json").read_text())
    wrong = {**metrics, "test": {**metrics["test"], "accuracy": 1.0}, "stored_bytes": 1}
    (folder / "metrics.json").write_text(json.dumps(wrong))
    with pytest.raises(SoftPromptError, match="differs from what was written"):
        open_run(folder, done.prompt.model, done.prompt.tokenizer)
    for harm in (
        lambda: (folder / "metrics.json").write_text(json.dumps(wrong)),
        lambda: (folder / "metrics.json").write_text("{"),
        lambda: (folder / "prompt" / "prompt.safetensors").write_bytes(tensors[:-1] + b"\x01"),
        lambda: shutil.rmtree(folder / "prompt"),
    ):
        harm()
        told, counted = Told(), Interrupting(10**6)
        told.work = counted.work  # type: ignore[method-assign]
        again = run(tmp_path, "llama", METHODS["prompt_tuning"], resume=True, progress=told)
        assert sum("made again from" in line for line in told.lines) == 1
        assert counted.done == 0  # no step was taken
        assert (folder / "prompt" / "prompt.safetensors").read_bytes() == tensors
        assert again.metrics["test"] == metrics["test"]


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    from softprompt.training.hold import hold_folder

    with pytest.raises(Interrupted):
        run(tmp_path, "llama", METHODS["prompt_tuning"], progress=Interrupting(3))
    with hold_folder(tmp_path / "run") as fresh, pytest.raises(SoftPromptError, match="another run is at work"):
        run(tmp_path, "llama", METHODS["prompt_tuning"], resume=True)
    assert not fresh
    assert run(tmp_path, "llama", METHODS["prompt_tuning"], resume=True).metrics["test"]


def test_the_one_that_comes_second_leaves_the_first_its_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process makes and claims the folder just before this one opens it."""
    import os

    from softprompt.files.scratch import lock
    from softprompt.training import hold

    handles = []

    def first(folder: Path) -> None:
        folder.mkdir()
        handles.append(os.open(folder, os.O_RDONLY))
        assert lock(handles[0])
        (folder / "run.json").write_text("{}")

    monkeypatch.setattr(hold, "make_folder", first)
    with pytest.raises(SoftPromptError, match="another run is at work"):
        run(tmp_path, "llama", METHODS["prompt_tuning"])
    os.close(handles[0])
    assert (tmp_path / "run" / "run.json").read_text() == "{}"
