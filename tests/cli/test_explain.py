"""`softprompt explain`: the nearest words, and how alike prompts are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..shared.commands import narrow


def test_explain_nearest(ask: Any, runs: list[Path], tmp_path: Path) -> None:
    code, printed, _ = ask("explain", "nearest", runs[0], "-k", 3, "--json")
    assert code == 0
    found = json.loads(printed)
    assert [len(row["neighbours"]) for row in found["rows"]] == [3, 3, 3]
    assert [label["word"] for label in found["labels"]] == ["w10", "w11"]
    page = tmp_path / "nearest.html"
    code, printed, _ = ask("explain", "nearest", runs[0], "--page", page)
    assert code == 0
    assert narrow(printed.replace(str(page), ""))
    assert "label word 'w10': rank" in printed
    assert "Nearest words" in page.read_text()


def test_explain_similarity(ask: Any, runs: list[Path], tmp_path: Path) -> None:
    code, printed, _ = ask("explain", "similarity", *runs, "--json")
    assert code == 0
    assert [row[index] for index, row in enumerate(json.loads(printed)["mean_tokens"])] == pytest.approx([1, 1, 1])
    page = tmp_path / "similarity.html"
    code, printed, _ = ask("explain", "similarity", *runs, "--page", page)
    assert code == 0
    assert narrow(printed.replace(str(page), ""))
    assert "nearest to 1:" in printed
    assert page.is_file()
