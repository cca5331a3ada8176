"""One self-contained page that compares finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment
from markupsafe import Markup

from softprompt.storage.tensors import write_text

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid #d8dee6; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.best { background: #eef6ee; }
small { color: #5a6675; }
</style></head><body>
<h1>{{ title }}</h1>
<p>{{ subtitle }}</p>
{{ bars }}
<table><thead><tr><th>method</th><th>{{ metric }}</th><th>95 % interval</th><th>trained scalars</th>
<th>stored bytes</th><th>training seconds</th></tr></thead><tbody>
{% for row in rows %}<tr{% if row.best %} class="best"{% endif %}><td>{{ row.method }}</td><td>{{ row.value }}</td>
<td>{{ row.interval }}</td><td>{{ row.trained }}</td><td>{{ row.stored }}</td><td>{{ row.seconds }}</td></tr>
{% endfor %}</tbody></table>
{{ curves }}
<p><small>{{ foot }}</small></p>
</body></html>
"""


def comparison_page(runs: Sequence[dict[str, Any]], path: str | Path, title: str) -> Path:
    """Write the page: a bar with its interval for each run, the table, and the validation curves.

    Args:
        runs: what the runs' `metrics.json` hold, of one task and metric.
        path: the HTML file; nothing in it is fetched from elsewhere.
        title: of the page.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    metric = runs[0]["metric"]
    best = max(runs, key=lambda run: run["test"][metric])
    rows = [
        {
            "method": run["method"],
            "value": f"{run['test'][metric]:.3f}",
            "interval": "{:.3f} to {:.3f}".format(*run["test"]["interval"]),
            "trained": f"{run['trained_parameters']:,}",
            "stored": f"{run['stored_bytes']:,}",
            "seconds": f"{run['train_seconds']:.0f}",
            "best": run is best,
        }
        for run in runs
    ]
    first = runs[0]
    environment = Environment(autoescape=True)
    page = environment.from_string(_PAGE).render(
        title=title,
        subtitle=f"{first['task']} on {first['backbone']}, {first['test']['rows']} held-out rows, seed {first['seed']}",
        metric=metric,
        rows=rows,
        bars=_html(bars(runs), script=True),
        curves=_html(curves(runs), script=False),
        foot=", ".join(f"{name} {number}" for name, number in first["versions"].items()),
    )
    write_text(Path(path), page)
    return Path(path)


def bars(runs: Sequence[dict[str, Any]]) -> go.Figure:
    """The main metric of each run with its interval."""
    metric = runs[0]["metric"]
    values = [run["test"][metric] for run in runs]
    low = [value - run["test"]["interval"][0] for value, run in zip(values, runs, strict=True)]
    high = [run["test"]["interval"][1] - value for value, run in zip(values, runs, strict=True)]
    figure = go.Figure(
        go.Bar(
            x=[run["method"] for run in runs],
            y=values,
            error_y={"type": "data", "symmetric": False, "array": high, "arrayminus": low},
            marker_color="#3b6ea5",
        )
    )
    figure.update_layout(title=f"{metric} on held-out rows, with 95 % intervals", yaxis_title=metric, **_LOOK)
    return figure


def curves(runs: Sequence[dict[str, Any]]) -> go.Figure:
    """The main metric on the validation rows over the steps."""
    metric = runs[0]["metric"]
    figure = go.Figure()
    for run in runs:
        if run["history"]:
            figure.add_scatter(
                x=[point["step"] for point in run["history"]],
                y=[point[metric] for point in run["history"]],
                name=run["method"],
                mode="lines+markers",
            )
    figure.update_layout(title=f"{metric} on validation rows", xaxis_title="step", yaxis_title=metric, **_LOOK)
    return figure


_LOOK: dict[str, Any] = {"template": "plotly_white", "height": 420, "margin": {"l": 60, "r": 20, "t": 60, "b": 50}}


def _html(figure: go.Figure, *, script: bool) -> Markup:
    """A figure as markup; the first one on a page brings the script."""
    return Markup(figure.to_html(full_html=False, include_plotlyjs=script))  # noqa: S704  (our own figure)
