"""Which columns of a long text are drawn, and what the captions say."""

from __future__ import annotations

from xml.etree import ElementTree

import torch

from softprompt.explain.anchors.columns import Structural
from softprompt.explain.anchors.maps import AttentionMap, Kind, Token, attention_map
from softprompt.explain.anchors.pictures import chosen_columns, map_picture

from ...shared.anchored import prompt, rows


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


def test_the_picture_of_two_runs() -> None:
    rule, kinds = Structural(), [prompt("bert"), prompt("bert", "deep_prompt", num_virtual_tokens=2)]
    maps = [(name, attention_map(one, rows()[1], rule)) for name, one in zip(("capt", "deep"), kinds, strict=True)]
    for values, what in (("weights", "Softmax weight"), ("scores", "Score before the softmax")):
        drawn = map_picture(maps, values)  # type: ignore[arg-type]
        texts = [str(one.text) for one in ElementTree.fromstring(drawn.svg).iter("{http://www.w3.org/2000/svg}text")]
        assert {"capt: all layers, all heads", "deep: all layers, all heads"} <= set(texts)
        assert {"◆ slot 2", "▸ w90", "· w93", "w50"} <= set(texts)
        assert drawn.caption.startswith(what)
