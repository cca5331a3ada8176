"""Pictures of a choice of layers: the gates of the search, the layers kept, and what the controls reach.

They are drawn from what `softprompt select` finds (`softprompt.compare.layers.select_layers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go
from markupsafe import Markup
from plotly.subplots import make_subplots

from softprompt.backbones.tunable import Tunable
from softprompt.compare.formats.grids import chance
from softprompt.compare.results import Arm, LayerComparison
from softprompt.explain.page import LOOK, filled, inert, write_page

_BARS = "▁▂▃▄▅▆▇█"
_KEPT = "#3b6ea5"
_TABLE = """<table><thead><tr><th>arm</th><th>{{ metric }}</th><th>deviation</th><th>to {{ reference }}</th>
<th>95 % interval</th><th>p</th><th>p, Holm</th><th>layers</th><th>trained</th><th>tunable %</th><th>stored</th>
<th>seconds</th></tr></thead><tbody>
{% for row in rows %}<tr{% if row.best %} class="best"{% endif %}>{% for cell in row.cells %}<td>{{ cell }}</td>
{% endfor %}</tr>
{% endfor %}</tbody></table>
<p><small>{{ foot }}</small></p>"""


def layers_page(found: LayerComparison, path: str | Path, title: str) -> Path:
    """Write the page: the gates over the search, the layers kept beside what each arm reaches, and the table.

    Args:
        found: as `select_layers` returns it.
        path: the HTML file; nothing in it is fetched from elsewhere.
        title: of the page.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    lines = [
        f"{found['method']} on {found['task']}, {found['backbone']}, {found['rows']} test rows, "
        f"seeds {', '.join(map(str, found['seeds']))}.",
        "Every arm is the same method at other layers; differences are taken seed by seed, see the note at the end.",
    ]
    figures = [gates_figure(found)] if found["gates"] else []
    return write_page(path, title, lines, [*figures, arms_figure(found), _table(found)])


def gates_figure(found: LayerComparison) -> go.Figure:
    """The probability of each layer's gate over the turns of the search: a heat map for each searched arm and seed."""
    courses = found["gates"]
    seeds = [str(seed) for seed in found["seeds"]]
    names = [f"{arm}, seed {seed}" for arm in courses for seed in seeds]
    figure = make_subplots(
        rows=len(courses), cols=len(seeds), subplot_titles=names, shared_yaxes=True, horizontal_spacing=0.02
    )
    values = [gate for each in courses.values() for turns in each.values() for turn in turns for gate in turn]
    reach = max(0.05, *(abs(value - 0.5) for value in values))  # gates start at a half and may move little
    for row, each in enumerate(courses.values(), 1):
        for column, seed in enumerate(seeds, 1):
            turns = each.get(seed, [])
            figure.add_heatmap(
                z=[list(layer) for layer in zip(*turns, strict=True)],
                x=list(range(1, len(turns) + 1)),
                y=list(range(found["layers"])),
                coloraxis="coloraxis",
                hovertemplate="layer %{y}, turn %{x}: %{z:.3f}<extra></extra>",
                row=row,
                col=column,
            )
    figure.update_xaxes(title_text="turn", row=len(courses))
    figure.update_yaxes(title_text="layer", dtick=1, col=1)
    figure.update_layout(
        title="probability of each layer's gate over the search",
        coloraxis={"colorscale": "RdBu", "cmin": 0.5 - reach, "cmax": 0.5 + reach, "colorbar": {"title": "open"}},
        height=180 + len(courses) * max(160, 22 * found["layers"]),
        **LOOK,
    )
    return inert(figure)


def arms_figure(found: LayerComparison) -> go.Figure:
    """Left the layers that the reference keeps, layer by seed; right what each arm reaches, the seeds as points."""
    metric = found["metric"]
    own = next(arm for arm in found["arms"] if arm["arm"] == found["reference"])
    figure = make_subplots(
        cols=2,
        column_widths=[0.35, 0.65],
        horizontal_spacing=0.1,
        subplot_titles=[f"layers kept by {own['arm']}", f"{metric} of each arm, mean and deviation; points are seeds"],
    )
    figure.add_trace(_kept(own, found["layers"]), row=1, col=1)
    figure.add_trace(_means(found["arms"], own), row=1, col=2)
    figure.add_trace(_points(found["arms"]), row=1, col=2)
    values = [run["value"] for arm in found["arms"] for run in arm["runs"]]
    room = max(0.02, 0.25 * (max(values) - min(values)))
    figure.update_yaxes(title_text="layer", dtick=1, row=1, col=1)
    figure.update_yaxes(title_text=metric, range=[min(values) - room, max(values) + room], row=1, col=2)
    figure.update_layout(height=180 + max(260, 22 * found["layers"]), **LOOK)
    return inert(figure)


def _kept(arm: Arm, layers: int) -> go.Heatmap:
    """The layers that each run of an arm keeps, a column a seed."""
    return go.Heatmap(
        z=[[int(layer in (run["kept_layers"] or ())) for run in arm["runs"]] for layer in range(layers)],
        x=[f"seed {run['seed']}" for run in arm["runs"]],
        y=list(range(layers)),
        zmin=0,
        zmax=1,
        colorscale=[[0, "#eef1f5"], [1, _KEPT]],
        showscale=False,
        xgap=3,
        ygap=3,
        hovertemplate="layer %{y}, %{x}: %{z}<extra></extra>",
    )


def _means(arms: Sequence[Arm], reference: Arm) -> go.Bar:
    """What each arm reaches, with the deviation over its seeds."""
    return go.Bar(
        x=[arm["arm"] for arm in arms],
        y=[arm["mean"] for arm in arms],
        error_y={"type": "data", "array": [arm["deviation"] or 0.0 for arm in arms]},
        marker_color=[_KEPT if arm is reference else "#b8c4d2" for arm in arms],
        showlegend=False,
    )


def _points(arms: Sequence[Arm]) -> go.Scatter:
    """What each run reaches."""
    points = [(arm["arm"], run) for arm in arms for run in arm["runs"]]
    return go.Scatter(
        x=[name for name, _ in points],
        y=[run["value"] for _, run in points],
        text=[f"seed {run['seed']}" for _, run in points],
        mode="markers",
        marker={"color": "#1c2430", "size": 7, "symbol": "circle-open"},
        showlegend=False,
    )


def strip(share: Sequence[float] | None) -> str:
    """A mark for each layer: a dot where no seed keeps it, a full bar where all do."""
    if share is None:
        return ""
    return "".join("·" if not value else _BARS[round(value * (len(_BARS) - 1))] for value in share)


def arm_difference(arm: Arm) -> tuple[str, str, str, str]:
    """An arm's difference to the reference, its interval, p and p after Holm, as texts; empty where there is none."""
    found = arm["difference"]
    if found is None:
        return "", "", "", ""
    interval = "" if found["interval"] is None else "{:+.3f} to {:+.3f}".format(*found["interval"])
    return f"{found['mean']:+.3f}", interval, chance(found["p"]), chance(found["p_holm"])


def tunable(arm: Arm) -> str:
    """The share of the backbone that an arm trains, in percent, and without its head; empty where no run tells it."""
    return "" if arm["tunable"] is None else Tunable(**arm["tunable"]).told()


def _table(found: LayerComparison) -> Markup:
    best = max(arm["mean"] for arm in found["arms"])
    rows = [
        {
            "best": arm["mean"] == best,
            "cells": [
                arm["arm"],
                f"{arm['mean']:.3f}",
                "" if arm["deviation"] is None else f"{arm['deviation']:.3f}",
                *arm_difference(arm),
                strip(arm["share"]),
                f"{arm['trained_parameters']:,}",
                tunable(arm),
                f"{arm['stored_parameters']:,}",
                f"{arm['seconds']:.0f}",
            ],
        }
        for arm in found["arms"]
    ]
    foot = (
        f"{found['test']}. Few seeds have little power: a difference without a small p is not shown to be none. "
        "Layers: a mark for each, from 0; the higher, the more seeds keep it. "
        + ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    )
    return filled(_TABLE, metric=found["metric"], reference=found["reference"], rows=rows, foot=foot)
