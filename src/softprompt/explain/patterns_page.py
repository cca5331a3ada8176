"""The page of the layers that searches kept: a map of tasks and layers with the groups, and each group's share."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go

from softprompt.explain.page import LOOK, filled, inert, write_page
from softprompt.explain.patterns import LayerPatterns, group_table

_TABLE = """<div style="overflow-x: auto"><table><thead><tr>
{% for name in columns %}<th>{{ name }}</th>{% endfor %}</tr></thead><tbody>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>"""
_MANY = 24  # layers that are all numbered
_MARGIN = {"l": 60, "r": 20, "t": 150, "b": 50}  # the groups' names stand above the map
_BLUES = [[0, "#eef1f5"], [1, "#1f4f86"]]


def patterns_page(found: LayerPatterns, path: str | Path, title: str) -> Path:
    """Write the page.

    Args:
        found: as `layer_patterns` gives it.
        path: the HTML file; nothing in it is fetched from elsewhere.
        title: of the page.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    columns, rows = group_table(found)
    lines = [
        f"{sum(one.runs for one in found.tasks)} searches over {found.layers} layers; layer 0 reads the embedding.",
        "By chance: the share of every layer where as many are drawn at random. The groups are those that are said, "
        "second-hand, of SPT on RoBERTa-large, at the same parts of the depth.",
    ]
    figures = [map_figure(found), *([gates_figure(found)] if any(one.gates for one in found.tasks) else [])]
    return write_page(path, title, lines, [*figures, filled(_TABLE, columns=columns, rows=rows)])


def map_figure(found: LayerPatterns) -> go.Figure:
    """A cell for each task and layer: the share of the runs that kept it."""
    values = [list(one.share) for one in found.tasks]
    return _map(found, values, "How often each layer was kept", "share")


def gates_figure(found: LayerPatterns) -> go.Figure:
    """The same of the gates' probabilities at the end of the search; rows without any are empty."""
    values: list[list[float | None]] = [list(one.gates or [None] * found.layers) for one in found.tasks]
    return _map(found, values, "Probability of each layer's gate at the end", "open")


def _map(
    found: LayerPatterns, values: list[list[float]] | list[list[float | None]], title: str, name: str
) -> go.Figure:
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=list(range(found.layers)),
            y=found.labels(),
            zmin=0,
            zmax=1,
            colorscale=_BLUES,
            colorbar={"title": name, "len": 1, "thickness": 12},
            xgap=2,
            ygap=2,
            hovertemplate="%{y}, layer %{x}: %{z:.2f}<extra></extra>",
        )
    )
    for group, (start, end) in found.groups.items():
        if start < end:
            _bracket(figure, group, start, end)
    figure.update_xaxes(title_text="layer", dtick=1 if found.layers <= _MANY else 2)
    figure.update_yaxes(autorange="reversed", automargin=True, type="category")
    above = {"text": title, "y": 0.91, "yanchor": "top"}
    figure.update_layout(title=above, height=250 + 34 * len(found.tasks), **{**LOOK, "margin": _MARGIN})
    return inert(figure)


def _bracket(figure: go.Figure, group: str, start: int, end: int) -> None:
    """A line above the group's columns, and its name standing on it."""
    over = {"yref": "paper", "y0": 1.04, "y1": 1.04}
    figure.add_shape(type="line", x0=start - 0.4, x1=end - 0.6, line={"color": "#5a6675", "width": 2}, **over)
    figure.add_annotation(
        x=(start + end - 1) / 2,
        y=1.06,
        yref="paper",
        text=group,
        showarrow=False,
        xanchor="center",
        yanchor="bottom",
        textangle=-90,
        font={"size": 12, "color": "#5a6675"},
    )
