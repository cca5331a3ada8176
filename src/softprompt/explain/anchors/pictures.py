"""The picture of anchors: attention among the tokens of one row, prompts beside one another on one scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Literal

from torch import Tensor

from softprompt.explain.anchors.maps import AttentionMap, Token
from softprompt.pages.heat import Cells, Colours, heat
from softprompt.pages.parts import Figure
from softprompt.pages.shell import write_page

Values = Literal["weights", "scores"]
_Drawn = list[list[float | None]]

MOST = 40  # columns of a map
_MARKS = {"slot": "◆ ", "first": "▸ ", "structural": "· ", "text": ""}
_ORDER = {"slot": 0, "first": 0, "structural": 1, "text": 2}
_NAMES = {"weights": "softmax weight", "scores": "score before the softmax"}


def anchor_page(path: str | PathLike[str], maps: Sequence[tuple[str, AttentionMap]], values: Values) -> Path:
    """Write a page with the maps of one row.

    Args:
        path: the HTML file.
        maps: each with the name of its prompt.
        values: softmax weights, or the scores before, as CaPT's figures have them.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    lines = [f"The {_NAMES[values]} among the tokens of one row, with {', '.join(name for name, _ in maps)}."]
    return write_page(path, "Attention anchors", lines, map_figures(maps, values))


def map_figures(maps: Sequence[tuple[str, AttentionMap]], values: Values) -> list[Figure]:
    """A heat map for each prompt, on one scale: of weights from zero, of scores from the least.

    Args:
        maps: of one row, each with the name of its prompt.
        values: as of `anchor_page`.
    """
    chosen = [(name, one, *chosen_columns(one)) for name, one in maps]
    drawn = [_values(one.weights if values == "weights" else one.scores, *places) for _, one, *places in chosen]
    flat = [value for rows in drawn for row in rows for value in row if value is not None]
    colours = Colours(_NAMES[values], 0.0 if values == "weights" else min(flat, default=0.0), max(flat, default=0.0))
    return [
        heat(
            f"{name}: {one.averaged}",
            _caption(values, len(one.asked) - len(columns)),
            Cells(cells, _marked(one.asking, rows), _marked(one.asked, columns), across="asked", down="asking"),
            colours,
        )
        for (name, one, rows, columns), cells in zip(chosen, drawn, strict=True)
    ]


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


def _values(values: Tensor, rows: list[int], columns: list[int]) -> _Drawn:
    found = values[rows][:, columns].tolist()
    return [[None if math.isnan(one) else one for one in row] for row in found]


def _caption(values: Values, left_out: int) -> str:
    caption = (
        f"{_NAMES[values].capitalize()} from each token (left) to each token (above). ◆ slots, ▸ the first token, · "
        "structural tokens. What a causal mask or a window hides is empty among scores."
    )
    if left_out:
        caption += f" {left_out} columns are left out: those of the text that get least attention."
    return caption


def _marked(tokens: Sequence[Token], places: Sequence[int]) -> list[str]:
    return [_MARKS[tokens[place].kind] + tokens[place].text for place in places]
