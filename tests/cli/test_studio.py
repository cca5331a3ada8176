"""`softprompt studio`: what it needs and where it may be, told before anything listens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ..shared.commands import done, refusal


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softprompt.cli.studio.find_spec", lambda name: None if name == "uvicorn" else name)
    assert refusal("studio", tmp_path) == "error: the studio needs uvicorn: pip install 'softprompt[studio]'"


def test_a_file_is_no_folder_of_runs_and_a_new_folder_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    assert "choose a folder" in refusal("studio", tmp_path / "file")
    assert "there is no token: give --token-file" in refusal("studio", tmp_path, "--host", "0.0.0.0")
    begun: list[Any] = []
    monkeypatch.setattr("softprompt.studio.server.serve", lambda *given: begun.append(given))
    done("studio", tmp_path / "new" / "runs", "--port", "0")
    assert (tmp_path / "new" / "runs").is_dir()
    assert begun[0][:3] == (tmp_path / "new" / "runs", "127.0.0.1", 0)
    assert "capt" in begun[0][3]
