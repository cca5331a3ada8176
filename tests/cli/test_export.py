"""`softprompt export`: a run in the form of another program."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from softprompt.carrying.formats import FORMATS
from softprompt.carrying.names import NAMES
from softprompt.carrying.vocabulary import LISTED

from ..shared.commands import COMMANDS


def test_a_run_is_exported(ask: Any, runs: list[Path], tmp_path: Path) -> None:
    code, printed, _ = ask("export", runs[0], "--to", "peft", "--out", tmp_path / "theirs")
    assert code == 0
    assert printed == f"{tmp_path / 'theirs'}: README.md, adapter_config.json, adapter_model.safetensors\n"


def test_each_of_several_runs_has_a_name_of_its_own(ask: Any, runs: list[Path], tmp_path: Path) -> None:
    for place in ("x/mail", "y/mail", "mail-1"):
        shutil.copytree(runs[0], tmp_path / place)
    given = [tmp_path / "x" / "mail", tmp_path / "y" / "mail", tmp_path / "mail-1"]
    code, _, err = ask("export", *given, "--to", "vocabulary", "--out", tmp_path / "theirs")
    assert code == 0, err
    assert [*json.loads((tmp_path / "theirs" / LISTED).read_text())] == ["mail-1", "mail-2", "mail-1-3"]


def test_what_cannot_be_is_one_line(ask: Any, trained: Path, tmp_path: Path) -> None:
    for words, told in (
        ([trained, "--to", "peff"], "to 'peff': no such form: choose one of "),
        ([trained, trained, "--to", "peft"], "to 'peft' takes one prompt, and there are 2"),
        ([trained, "--to", "peft"], "words (capt) cannot be carried to peft: it writes vectors into the layers"),
    ):
        code, printed, err = ask("export", *words, "--out", tmp_path / "new")
        assert (code, printed) == (1, "")
        assert told in err
        assert len(err.splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_the_names_that_are_completed_are_those_of_the_forms() -> None:
    assert tuple(FORMATS) == NAMES
    (option,) = (one for one in COMMANDS["export"].params if one.name == "to")
    assert all(name in option.help for name in NAMES)
