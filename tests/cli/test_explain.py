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


def test_what_a_token_does_is_measured_where_there_are_rows(
    ask: Any, runs: list[Path], data: Path, tmp_path: Path
) -> None:
    """On the run's own validation rows, on a file, or not at all; and the table stays narrow."""
    code, printed, told = ask("explain", "nearest", runs[0], "--max-rows", 8)
    assert code == 0
    assert narrow(printed)
    assert "loss, accuracy: their change without that token, on 8 rows" in printed
    assert "on 8 validation rows of the run, which it was chosen on" in told
    assert "without each token: 32/32 rows" in told
    (tmp_path / "new.csv").write_text("sentence,label\nw20 w77 w78,0\nw30 w78,1\n")
    found = json.loads(ask("explain", "nearest", runs[0], "--data", tmp_path / "new.csv", "--json")[1])
    assert (found["removal"]["metric"], found["removal"]["rows"]) == ("accuracy", 2)
    assert all(row["without"].keys() == {"loss", "metric"} for row in found["rows"])
    assert all(row["moved"] is not None and row["start"] is not None for row in found["rows"])
    for words in ((runs[0], "--no-effect"), (runs[0] / "prompt",)):
        found = json.loads(ask("explain", "nearest", *words, "--json")[1])
        assert found["removal"] is None
        assert [row["without"] for row in found["rows"]] == [None] * 3
    assert "give labelled rows with --data" in ask("explain", "nearest", runs[0] / "prompt")[2]


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
