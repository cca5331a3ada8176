"""Which columns of a long text are drawn, and what the captions say."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch

from softprompt.explain.anchors.columns import Structural
from softprompt.explain.anchors.maps import AttentionMap, Kind, Token, attention_map
from softprompt.explain.anchors.pictures import anchor_page, chosen_columns, map_figures

from ...shared.anchored import prompt, rows
from ...shared.pages import marks, words


def long_map(front: int = 0) -> AttentionMap:
    """A slot, the first token, a structural one and six words, of which w4 gets most attention and w1 next to most."""
    kinds: list[Kind] = ["slot", "first", "structural", *["text"] * 6]  # type: ignore[list-item]
    tokens = tuple(Token(f"w{place}", kind) for place, kind in enumerate(kinds))
    weights = torch.zeros(9 - front, 9)
    weights[:, 7], weights[:, 4] = 0.5, 0.3
    return AttentionMap(tokens[front:], tokens, weights, weights, None, None)


def test_of_a_long_text_slots_and_structural_tokens_stay_and_those_that_get_most() -> None:
    assert chosen_columns(long_map(), 5) == ([0, 1, 2, 4, 7], [0, 1, 2, 4, 7])
    assert chosen_columns(long_map(front=1), 5) == ([0, 1, 3, 6], [0, 1, 2, 4, 7])
    assert chosen_columns(long_map(), 2)[1] == [0, 1]
    assert chosen_columns(long_map()) == (list(range(9)), list(range(9)))


def test_the_pictures_of_two_runs_are_on_one_scale() -> None:
    rule, kinds = Structural(), [prompt("bert"), prompt("bert", "deep_prompt", num_virtual_tokens=2)]
    maps = [(name, attention_map(one, rows()[1], rule)) for name, one in zip(("capt", "deep"), kinds, strict=True)]
    for values, what in (("weights", "Softmax weight"), ("scores", "Score before the softmax")):
        figures = map_figures(maps, values)  # type: ignore[arg-type]
        assert [one.title for one in figures] == ["capt: all layers, all heads", "deep: all layers, all heads"]
        assert {"◆ slot 2", "▸ w90", "· w93", "w50"} <= {*figures[0].table.columns, *figures[1].table.columns}
        assert all(one.caption.startswith(what) for one in figures)
        ends = [[text for text in words(one.picture) if re.fullmatch(r"-?[0-9.e-]+", text)] for one in figures]
        assert ends[0] == ends[1]
        assert len(ends[0]) == 2
        shown = torch.cat([(one.weights if values == "weights" else one.scores).flatten() for _, one in maps])
        assert float(ends[0][1]) == pytest.approx(float(shown.nan_to_num(-9).max()), rel=0.01)
        assert (float(ends[0][0]) == 0) == (values == "weights")


def test_what_is_hidden_has_no_cell_and_nothing_is_markup() -> None:
    tokens = tuple(Token(text, "text") for text in ("<b>&", "b"))
    scores = torch.tensor([[1.0, math.nan], [2.0, 3.0]])
    one = AttentionMap(tokens, tokens, torch.eye(2), scores, 0, 1)
    (figure,) = map_figures([("<script>", one)], "scores")
    assert figure.title == "<script>: layer 0, head 1"  # escaped by the page
    assert figure.table.rows[0] == ("<b>&", "1", "")
    assert sum(len(marks(figure.picture, f"h{step}")) for step in range(21)) - 21 == 3  # but for the bar of colours
    assert "<b>" not in figure.picture


def test_the_page_is_one_file(tmp_path: Path) -> None:
    page = anchor_page(tmp_path / "map.html", [("<script>", long_map())], "weights")
    text = page.read_text(encoding="utf-8")
    assert "&lt;script&gt;: all layers, all heads" in text
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text
