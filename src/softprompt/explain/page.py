"""The frame of a self-contained page: a title, a few lines, figures; nothing in it is fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment
from markupsafe import Markup

from softprompt.storage.tensors import write_text

LOOK: dict[str, Any] = {"template": "plotly_white", "margin": {"l": 60, "r": 20, "t": 60, "b": 50}}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430; }
</style></head><body>
<h1>{{ title }}</h1>
{% for line in lines %}<p>{{ line }}</p>
{% endfor %}{% for figure in figures %}{{ figure }}
{% endfor %}</body></html>
"""


def write_page(path: str | Path, title: str, lines: Sequence[str], figures: Sequence[go.Figure]) -> Path:
    """Write a page.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    shown = [markup(figure, script=index == 0) for index, figure in enumerate(figures)]
    page = Environment(autoescape=True).from_string(_PAGE).render(title=title, lines=lines, figures=shown)
    write_text(Path(path), page)
    return Path(path)


def markup(figure: go.Figure, *, script: bool) -> Markup:
    """A figure as markup; the first one on a page brings the script."""
    return Markup(figure.to_html(full_html=False, include_plotlyjs=script))  # noqa: S704  (our own figure)
