"""A run has its folder alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import Interrupted, SoftPromptError

from ..shared.prompts import METHODS
from ..shared.runs import Interrupting, run


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
