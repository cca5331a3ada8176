"""A run whose files were damaged goes on to the same bytes or says in one line what is damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ..shared.runs import Interrupting, Listening
from .flipped import FINISHED, MADE_AGAIN, REFUSED, UNREAD, again, attack, stopped


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
    told, counted = Listening(), Interrupting(10**6)
    told.work = counted.work  # type: ignore[method-assign]
    again("prompt_tuning", folder, progress=told)
    assert (folder / "run" / "prompt" / "prompt.safetensors").read_bytes() == expected
    lines = [line for line in told.lines if "trainer_state.json" in line]
    assert len(lines) == bad
    assert all("\n" not in line and "goes on from before it" in line for line in lines)
    assert len([path for path in state.iterdir() if path.name.startswith("damaged-")]) == bad
