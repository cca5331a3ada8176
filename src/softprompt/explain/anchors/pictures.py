"""The picture of anchors: attention among the tokens of one row, prompts side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from softprompt.explain.anchors.heat_map import Panel, heat_maps
from softprompt.explain.anchors.maps import AttentionMap, Token

Values = Literal["weights", "scores"]

MOST = 40  # columns of a map
_MARKS = {"slot": "◆ ", "first": "▸ ", "structural": "· ", "text": ""}
_ORDER = {"slot": 0, "first": 0, "structural": 1, "text": 2}
_NAMES = {"weights": "softmax weight", "scores": "score before the softmax"}


class Picture(NamedTuple):
    """A picture.

    Attributes:
        svg: by itself a file.
        caption: what is seen, and how it was computed.
    """

    svg: str
    caption: str


def map_picture(maps: Sequence[tuple[str, AttentionMap]], values: Values) -> Picture:
    """The maps of one row side by side on one scale.

    Args:
        maps: each with the name of its prompt.
        values: softmax weights, or the scores before, as CaPT's figures have them.
    """
    panels, left_out, what = [], 0, _NAMES[values]
    for name, one in maps:
        rows, columns = chosen_columns(one)
        left_out = max(left_out, len(one.asked) - len(columns))
        drawn = (one.weights if values == "weights" else one.scores)[rows][:, columns]
        asking, asked = (_marked(one.asking, rows), _marked(one.asked, columns))
        panels.append(Panel(f"{name}: {one.averaged}", asking, asked, drawn.tolist()))
    caption = (
        f"{what.capitalize()} from each token (left) to each token (above), lighter is more. ◆ slots, ▸ the first "
        "token, · structural tokens. What a causal mask or a window hides is hatched."
    )
    if left_out:
        caption += f" {left_out} columns are left out: those of the text that get least attention."
    told = f"Heat map of the {what} among the tokens of one row, for {', '.join(name for name, _ in maps)}"
    return Picture(heat_maps(panels, legend=what, told=told, from_zero=values == "weights"), caption)


def chosen_columns(one: AttentionMap, most: int = MOST) -> tuple[list[int], list[int]]:
    """The rows and the columns of a map that are drawn: of a long text what matters.

    Slots, the first token and structural tokens come first, then the others by the attention that they get. The tokens
    that are asked are those that ask.

    Args:
        one: the map.
        most: columns.
    """
    front, gets = len(one.asked) - len(one.asking), one.weights.sum(0).tolist()
    ranked = sorted(range(len(one.asked)), key=lambda place: (_ORDER[one.asked[place].kind], -gets[place]))
    columns = sorted(ranked[:most])
    return [place - front for place in columns if place >= front], columns


def _marked(tokens: Sequence[Token], places: Sequence[int]) -> list[str]:
    return [_MARKS[tokens[place].kind] + tokens[place].text for place in places]
