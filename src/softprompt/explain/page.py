"""The frame of a self-contained page: a title, a few lines, figures, tables; nothing is fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import plotly.graph_objects as go
from jinja2 import Environment
from markupsafe import Markup

from softprompt.errors import shown
from softprompt.files.whole import write_text
from softprompt.guards.paths import file_for

# The only texts of a figure in which markup stands that is ours; what they name is escaped where it stands.
_OUR_TEMPLATES = ("hovertemplate", "texttemplate")
LOOK: dict[str, object] = {"template": "plotly_white", "margin": {"l": 60, "r": 20, "t": 60, "b": 50}}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid #d8dee6; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.best { background: #eef6ee; }
small { color: #5a6675; }
</style></head><body>
<h1>{{ title }}</h1>
{% for line in lines %}<p>{{ line }}</p>
{% endfor %}{% for part in parts %}{{ part }}
{% endfor %}</body></html>
"""


def write_page(path: str | Path, title: str, lines: Sequence[str], parts: Sequence[go.Figure | Markup]) -> Path:
    """Write a page.

    Args:
        path: the HTML file.
        title: of the page.
        lines: what stands below it, a paragraph each.
        parts: what follows: figures, and markup that stays as it is.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    place = file_for(path, "page")
    first = next((part for part in parts if isinstance(part, go.Figure)), None)
    markup = [_figure(part, script=part is first) if isinstance(part, go.Figure) else part for part in parts]
    write_text(place, filled(_PAGE, title=shown(title), lines=[shown(line) for line in lines], parts=markup))
    return place


def filled(source: str, **values: object) -> Markup:
    """A jinja template with its places filled; what is no markup yet is escaped."""
    return Markup(Environment(autoescape=True).from_string(source).render(values))  # noqa: S704  (our own template)


def inert(figure: go.Figure) -> go.Figure:
    """The figure with every text in it shown as it is: plotly obeys some HTML in names, titles and labels."""
    return go.Figure(_inert(figure.to_plotly_json()))


def _inert(value: object, key: str = "") -> object:
    if isinstance(value, str):
        return value if key in _OUR_TEMPLATES else escape(shown(value), quote=False)
    if isinstance(value, dict):
        return {name: _inert(one, name) for name, one in value.items()}
    return [_inert(one, key) for one in value] if isinstance(value, (list, tuple)) else value


def _figure(figure: go.Figure, *, script: bool) -> Markup:
    """A figure as markup; the first one on a page brings the script."""
    return Markup(figure.to_html(full_html=False, include_plotlyjs=script))  # noqa: S704  (our own figure)
