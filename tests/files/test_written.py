"""A prompt is proved against its manifest: what it says may not change, its card may."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from softprompt.errors import SoftPromptError
from softprompt.files.manifest import MANIFEST
from softprompt.files.places import CARD, META, TENSORS
from softprompt.files.tensors import write_tensors
from softprompt.files.whole import replacing
from softprompt.files.written import check_whole, check_written


@pytest.fixture
def prompt(tmp_path: Path) -> Path:
    with replacing(tmp_path / "prompt") as folder:
        write_tensors(folder / TENSORS, {"table": torch.zeros(2)})
        (folder / META).write_text("{}")
        (folder / CARD).write_text("a card")
    return tmp_path / "prompt"


def test_the_card_is_its_owners_to_edit(prompt: Path) -> None:
    (prompt / CARD).write_text("another")
    check_written(prompt)
    check_whole(prompt)


@pytest.mark.parametrize("name", [META, TENSORS])
def test_nothing_else_is(name: str, prompt: Path) -> None:
    (prompt / name).write_bytes((prompt / name).read_bytes()[:-1] + b" ")
    for check in (check_written, check_whole):
        with pytest.raises(SoftPromptError, match=f"{name}: differs from what was written"):
            check(prompt)


def test_without_a_manifest_nothing_is_proved(prompt: Path) -> None:
    """As an earlier version wrote it; a whole run's prompt has one."""
    (prompt / MANIFEST).unlink()
    check_written(prompt)
    with pytest.raises(SoftPromptError, match=f"{MANIFEST}: no such file"):
        check_whole(prompt)
