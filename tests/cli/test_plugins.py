"""What installed packages bring, on the command line: a broken one is told, and takes nothing else along."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from softprompt.methods.registry import METHODS
from softprompt.training.courses.registry import COURSES

from ..shared.commands import ask
from ..shared.plugins import forgotten, installed

LINE = "method 'wonder' of package broken 1.0 (broken_package:Wonder) cannot be used: ModuleNotFoundError"


@pytest.fixture(autouse=True)
def _broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A package whose import fails."""
    forgotten(monkeypatch, METHODS, COURSES)
    points = {
        "methods": {"wonder": "broken_package:Wonder", "capt": "good_package:Stolen"},
        "courses": {"stroll": "broken_package:stroll"},
    }
    files = {
        "broken_package.py": "import no_such_library",
        "good_package.py": "import softprompt as sp\nclass Stolen(sp.PromptTuning):\n  name = 'capt'",
    }
    installed(monkeypatch, tmp_path / "site", "broken", points, files)


def test_methods_lists_it() -> None:
    told = ask("methods")
    assert told.code == 0
    assert f"\nfails: {LINE}" in told.out
    assert "good_package.Stolen" in told.out
    assert "softprompt.methods.capt.CaPT" in told.out
    listed = ask("methods", "--json")
    assert "capt" in {one["name"] for one in json.loads(listed.out)}
    assert f"fails: {LINE}" in listed.err


def test_the_doctor_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softprompt.cli.doctor.machine_checks", lambda: [])
    told = ask("doctor")
    assert told.code == 0
    assert f"\nfails: {LINE}" in told.out
    assert "\nfails: course 'stroll' of package broken 1.0" in told.out
    found = [one for one in json.loads(ask("doctor", "--json").out) if one["check"] == "installed package"]
    assert [one["ok"] for one in found] == [False] * 3


def test_it_fails_for_its_own_name_in_a_line(tmp_path: Path) -> None:
    given = ("train", "--task", "sst2", "--backbone", "nowhere", "--out", tmp_path / "run", "--method")
    told = ask(*given, "wonder")
    assert told.refused
    assert LINE in told.err
    other = ask(*given, "capt", "--set", "num_virtual_tokens=0")
    assert other.refused
    assert "option 'num_virtual_tokens' of method 'capt'" in other.err
    assert "broken" not in other.err
