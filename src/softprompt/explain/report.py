"""One self-contained page that compares finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go

from softprompt.explain.page import LOOK, filled, inert, write_page
from softprompt.training.finished import RunMetrics

_TABLE = """<table><thead><tr><th>method</th><th>{{ metric }}</th><th>95 % interval</th><th>trained scalars</th>
<th>tunable %</th><th>stored bytes</th><th>training seconds</th></tr></thead><tbody>
{% for row in rows %}<tr{% if row.best %} class="best"{% endif %}><td>{{ row.method }}</td><td>{{ row.value }}</td>
<td>{{ row.interval }}</td><td>{{ row.trained }}</td>
<td>{{ row.tunable }}</td><td>{{ row.stored }}</td><td>{{ row.seconds }}</td></tr>
{% endfor %}</tbody></table>"""
_FOOT = "<p><small>{{ foot }}</small></p>"
_LOOK: dict[str, object] = {**LOOK, "height": 420}


def comparison_page(runs: Sequence[RunMetrics], path: str | Path, title: str) -> Path:
    """Write the page: a bar with its interval for each run, the table, and the validation curves.

    Args:
        runs: of one task and metric, with test rows.
        path: the HTML file; nothing in it is fetched from elsewhere.
        title: of the page.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    first, best = runs[0], max(runs, key=_value)
    rows = [
        {
            "method": run.method,
            "value": f"{_value(run):.3f}",
            "interval": "{:.3f} to {:.3f}".format(*_interval(run)),
            "trained": f"{run.trained_parameters:,}",
            "tunable": "" if run.tunable is None else run.tunable.told(),
            "stored": f"{run.stored_bytes:,}",
            "seconds": f"{run.train_seconds:.0f}",
            "best": run is best,
        }
        for run in runs
    ]
    subtitle = f"{first.task} on {first.backbone}, {first.test.rows} held-out rows, seed {first.seed}"
    seen = max(run.test.seen_rows or 0 for run in runs)
    if seen:
        subtitle += f"; {seen} of them read like rows to train or to choose on"
    foot = ", ".join(f"{name} {number}" for name, number in first.versions.items())
    table = filled(_TABLE, metric=first.metric, rows=rows)
    return write_page(path, title, [subtitle], [bars(runs), table, curves(runs), filled(_FOOT, foot=foot)])


def bars(runs: Sequence[RunMetrics]) -> go.Figure:
    """The main metric of each run with its interval."""
    metric = runs[0].metric
    figure = go.Figure(
        go.Bar(
            x=[run.method for run in runs],
            y=[_value(run) for run in runs],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [_interval(run)[1] - _value(run) for run in runs],
                "arrayminus": [_value(run) - _interval(run)[0] for run in runs],
            },
            marker_color="#3b6ea5",
        )
    )
    figure.update_layout(title=f"{metric} on held-out rows, with 95 % intervals", yaxis_title=metric, **_LOOK)
    return inert(figure)


def curves(runs: Sequence[RunMetrics]) -> go.Figure:
    """The main metric on the validation rows over the steps."""
    metric = runs[0].metric
    figure = go.Figure()
    for run in runs:
        points = [point for point in run.history if metric in point]  # a search also tells of its gates
        if points:
            figure.add_scatter(
                x=[point["step"] for point in points],
                y=[point[metric] for point in points],
                name=run.method,
                mode="lines+markers",
            )
    figure.update_layout(title=f"{metric} on validation rows", xaxis_title="step", yaxis_title=metric, **_LOOK)
    return inert(figure)


def _value(run: RunMetrics) -> float:
    """The main metric on the test rows."""
    found = run.test.value(run.metric)
    assert found is not None  # by the schema
    return found


def _interval(run: RunMetrics) -> tuple[float, float]:
    assert run.test.interval is not None  # by the schema
    return run.test.interval
