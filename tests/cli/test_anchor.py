"""`softprompt explain anchor`: rows of a run, of a file or one text, a map in a file, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..shared.commands import narrow, refusal


def test_runs_side_by_side(ask: Any, trained: Path, runs: list[Path], tmp_path: Path) -> None:
    drawn = tmp_path / "map.html"
    code, printed, told = ask("explain", "anchor", trained, *runs[:2], "--max-rows", 4, "--page", drawn, "--layers")
    assert code == 0, told
    assert narrow(printed.replace(str(drawn), ""))
    said = " ".join(printed.split())
    assert "capt 1 on words" in said
    assert "prompt_tuning 3 on words" in said
    assert "2 runs (seeds 1, 2)" in said
    assert "4 validation rows of" in told
    assert "attention: 36/36 rows" in told
    page = drawn.read_text(encoding="utf-8")
    assert page.count("<figure") == page.count("all layers, all heads</h") == 2


def test_one_text_as_json(ask: Any, trained: Path, tmp_path: Path) -> None:
    drawn = tmp_path / "map.html"
    words = ("--sentence", "w20 w41", "--structural", "word=w41", "--no-controls", "--page", drawn, "--layer", 1)
    found = json.loads(ask("explain", "anchor", trained, *words, "--scores", "--json")[1])
    (kind,) = found["kinds"]
    flow = next(one for one in kind["flows"] if (one["source"], one["target"]) == ("text", "slot"))
    assert found["rows"] == 1
    assert len(flow["heads"]) == 3
    assert len(flow["heads"][0]) == 4
    assert flow["rows"] is flow["seeds"] is flow["random"] is None
    (made,) = found["maps"]
    assert made["layer"] == 1
    assert ["w41", "structural"] in made["asking"]
    assert found["structural"] == "word=w41"


def test_a_file_of_rows(ask: Any, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("sentence,label\nw20 w77 w78,0\nw30 w78,1\n")
    found = json.loads(ask("explain", "anchor", trained, "--data", tmp_path / "new.csv", "--no-controls", "--json")[1])
    assert (found["rows"], found["maps"]) == (2, [])


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--sentence", "a", "--field", "sentence=a"), "--data, --sentence and --field: give one of them"),
        (("--structural", "nouns"), "choose among template, special, punctuation and word=TEXT"),
        (("--page", "/"), "--page"),
        (("--layer", "1"), "--layer, --head and --scores are of a map: name its page with --page"),
    ],
)
def test_what_cannot_be_is_refused_before_a_model_is_loaded(words: tuple[str, ...], why: str, trained: Path) -> None:
    assert why in refusal("explain", "anchor", trained, "--backbone", "/no/such/model", *words)


def test_rows_that_are_gone_are_asked_for(trained: Path) -> None:
    assert "give rows with --data, or --sentence" in refusal("explain", "anchor", trained / "prompt")
