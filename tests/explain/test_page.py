"""What stands in a figure's names and titles is shown as it is: plotly would obey some of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from softprompt.explain.layers import arms_figure, gates_figure
from softprompt.explain.nearest import Nearest, Neighbour, RowReading
from softprompt.explain.nearest_page import control_figure, neighbours_figure
from softprompt.explain.page import write_page
from softprompt.explain.report import bars, curves
from softprompt.explain.similarity import Similarity, similarity_figure

from ..shared.runs import finished

BAD = '<b>it</b><a href="javascript:alert(1)">x</a>\x1b'
ROW = RowReading(0, 1.0, (Neighbour(BAD, 3, 0.5),), 0.1)
RUN = finished(metric=BAD, method=BAD, test={BAD: 0.5, "interval": [0.4, 0.6]}, history=[{"step": 1, BAD: 0.5}])
ARM = {"arm": BAD, "mean": 0.5, "deviation": None, "runs": [{"kept_layers": [0], "seed": 1, "value": 0.5}]}
FOUND: dict[str, Any] = {
    "arms": [ARM],
    "metric": BAD,
    "reference": BAD,
    "layers": 2,
    "gates": {BAD: {"1": [[0.5, 0.5]]}},
    "seeds": [1],
}
FIGURES = {
    "bars": lambda: bars([RUN]),
    "curves": lambda: curves([RUN]),
    "arms": lambda: arms_figure(FOUND),
    "gates": lambda: gates_figure(FOUND),
    "neighbours": lambda: neighbours_figure(Nearest((ROW,), (), 0.0, 0.0, 9, 1.0)),
    "control": lambda: control_figure(Nearest((ROW,), (), 0.0, 0.0, 9, 1.0)),
    "similarity": lambda: similarity_figure(Similarity((BAD,), (BAD,), ((1.0,),), ((1.0,),))),
}


def texts(value: Any, key: str = "") -> list[tuple[str, str]]:
    """Every text of a figure with its key."""
    if isinstance(value, str):
        return [(key, value)]
    if isinstance(value, dict):
        return [found for name, one in value.items() for found in texts(one, name)]
    return [found for one in value for found in texts(one, key)] if isinstance(value, (list, tuple)) else []


@pytest.mark.parametrize("name", list(FIGURES))
def test_no_figure_has_markup_of_a_user(name: str) -> None:
    figure = FIGURES[name]()
    assert isinstance(figure, go.Figure)
    found = texts(figure.to_plotly_json())
    assert [(key, text) for key, text in found if "<" in text and "<extra>" not in text] == []
    assert not any("\x1b" in text for _, text in found)


def test_no_page_has_markup_of_a_user(tmp_path: Path) -> None:
    title = f"{BAD}\udcff"
    page = write_page(tmp_path / "page.html", title, [title], [FIGURES["bars"]()]).read_text(encoding="utf-8")
    head = page[: page.index("<script")]
    assert "<a href" not in head
    assert "javascript" in head
    assert "\x1b" not in head
