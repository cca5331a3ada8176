"""A run that is killed at any write of its own goes on to the same bytes and leaves no scrap."""

from __future__ import annotations

from pathlib import Path

import pytest

import softprompt as sp
from softprompt.files.scratch import sweep

from .kills import Killed, kept, operations, saving, scraps, struck, survives, training

OPTIONS = {"max_steps": 2, "evaluations": 1}


def test_a_part_of_the_attack(tmp_path: Path) -> None:
    """`benchmarks/reliability.py --only kills` kills at every operation."""
    killed = training("prompt_tuning", **OPTIONS)
    (tmp_path / "whole").mkdir()
    total = operations(killed, tmp_path / "whole")
    expected = killed.result(tmp_path / "whole")
    for at in (1, 3, 5, total // 2, total - 4):
        folder = tmp_path / f"at-{at}"
        folder.mkdir()
        assert struck(killed, folder, at), at
        assert survives(killed, folder, expected) is None, at


@pytest.mark.parametrize("back", range(2, 9, 2))
def test_an_exchanged_prompt_is_the_old_one_or_the_new_one(
    back: int, two: tuple[Killed, int, Path], tmp_path: Path
) -> None:
    killed, total, root = two
    kept(root, tmp_path)
    assert struck(killed, tmp_path, total - back)
    sweep(tmp_path)
    assert killed.result(tmp_path)[0] in ("prompt_tuning", "deep_prompt")
    assert scraps(tmp_path) == []


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Killed, int, Path]:
    root = tmp_path_factory.mktemp("two")
    killed = saving(root)
    return killed, operations(killed, kept(root, root / "whole")), root


def test_a_folder_of_scraps_alone_is_started_in(tmp_path: Path) -> None:
    from ..shared.prompts import METHODS
    from ..shared.runs import run

    (tmp_path / "run" / ".softprompt-new-0123abcd").mkdir(parents=True)
    (tmp_path / "run" / ".run.json-k3j_9xq2").write_text('{"half')
    assert isinstance(run(tmp_path, "llama", METHODS["prompt_tuning"], **OPTIONS), sp.Run)
    assert scraps(tmp_path) == []
