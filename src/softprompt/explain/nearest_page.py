"""The page of a prompt's nearest words: a table of its rows, their neighbours as a grid, and each against chance."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go

from softprompt.explain.nearest import Nearest, lines_of, table_of
from softprompt.explain.page import LOOK, filled, inert, write_page

# The words stand in the grid below; what is wider than a narrow window scrolls by itself.
_TABLE = """<div style="overflow-x: auto"><table><thead><tr>
{% for name in columns %}<th>{{ name }}</th>{% endfor %}</tr></thead><tbody>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>"""


def nearest_page(reading: Nearest, path: str | Path, title: str) -> Path:
    """Write a page: where each row began and what it does, the neighbours of each, and each row against chance.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    columns, rows = table_of(reading)
    first = f"{len(reading.rows)} virtual tokens against {reading.vocabulary:,} vocabulary tokens."
    table = filled(_TABLE, columns=columns[:-1], rows=[row[:-1] for row in rows])
    figures = [neighbours_figure(reading), control_figure(reading), *together_figures(reading)]
    return write_page(path, title, [first, *lines_of(reading)], [table, *figures])


def neighbours_figure(reading: Nearest) -> go.Figure:
    """A cell for each row and neighbour: the token, its cosine as colour."""
    figure = go.Figure(
        go.Heatmap(
            z=[[one.cosine for one in row.neighbours] for row in reading.rows],
            text=[[one.token for one in row.neighbours] for row in reading.rows],
            texttemplate="%{text}",
            x=[f"{place}." for place in range(1, len(reading.rows[0].neighbours) + 1)],
            y=[row.row for row in reading.rows],
            colorscale="Blues",
            colorbar={"title": "cosine"},
            hovertemplate="row %{y}: %{text}, cosine %{z:.3f}<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", title="virtual token", dtick=1)
    figure.update_layout(title="Nearest words", height=160 + 26 * len(reading.rows), **LOOK)
    return inert(figure)


def control_figure(reading: Nearest) -> go.Figure:
    """The cosine of each row's nearest word beside that of a random vector of the same norm, and the norm ratio."""
    places = [row.row for row in reading.rows]
    figure = go.Figure()
    figure.add_bar(x=places, y=[row.neighbours[0].cosine for row in reading.rows], name="nearest word")
    figure.add_bar(x=places, y=[row.control for row in reading.rows], name="random vector")
    figure.add_scatter(
        x=places, y=[row.norm_ratio for row in reading.rows], name="norm ratio", yaxis="y2", mode="markers+lines"
    )
    figure.update_layout(
        title="Against chance",
        xaxis_title="virtual token",
        yaxis_title="cosine",
        yaxis2={"title": "norm / vocabulary's mean norm", "overlaying": "y", "side": "right", "rangemode": "tozero"},
        legend={"orientation": "h"},
        height=420,
        **LOOK,
    )
    return inert(figure)


def together_figures(reading: Nearest) -> list[go.Figure]:
    """How alike each row's nearest words are among themselves, above the band of random vectors; none without pairs."""
    found = reading.clusters
    if found is None:
        return []
    figure = go.Figure(go.Bar(x=[row.row for row in reading.rows], y=list(found.rows), marker_color="#3b6ea5"))
    low, high = (found.random + sign * found.random_deviation for sign in (-1, 1))
    figure.add_hrect(y0=low, y1=high, fillcolor="#d97b29", opacity=0.25, line_width=0)
    figure.add_hline(y=found.random, line_color="#d97b29")
    figure.update_layout(
        title="Among themselves",
        xaxis_title=f"virtual token (line and band: {found.random_vectors} random vectors)",
        yaxis_title="mean cosine of all pairs",
        height=420,
        **LOOK,
    )
    return [inert(figure)]
