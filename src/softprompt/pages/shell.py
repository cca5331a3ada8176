"""The shell of every page: one file that fetches nothing, for light and dark, wide and narrow windows.

Whatever stands in a run's files is text here: jinja escapes it, controls are shown and not obeyed, and a content
security policy keeps the page from loading anything, so that even what were overlooked could send nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from os import PathLike
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader
from markupsafe import Markup

from softprompt.errors import shown
from softprompt.files.whole import write_text
from softprompt.guards.paths import file_for
from softprompt.pages.colours import steps
from softprompt.pages.parts import LONG, Part, Section, side_by_side


def write_page(
    path: str | PathLike[str],
    title: str,
    lines: Sequence[str],
    parts: Sequence[Part] = (),
    sections: Sequence[Section] = (),
) -> Path:
    """Write a page.

    Args:
        path: the HTML file.
        title: of the page.
        lines: what stands below it, a paragraph each.
        parts: what follows.
        sections: behind these; a list of contents names them.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    place = file_for(path, "page")
    write_text(place, page_of(title, lines, parts, sections))
    return place


def page_of(title: str, lines: Sequence[str], parts: Sequence[Part] = (), sections: Sequence[Section] = ()) -> str:
    """The page of `write_page`, as a text."""
    runs = side_by_side(parts)
    return rendered("{% extends 'page.html.jinja' %}", title=title, lines=lines, runs=runs, sections=sections)


def rendered(source: str, **values: object) -> str:
    """A template with its places filled; it may extend `base.html.jinja`. What is no markup is escaped."""
    return environment().from_string(source).render(values)


@cache
def environment(*rooms: str) -> Environment:
    """Where templates are found: in `templates` of rooms, as `softprompt.studio`, and of this one."""
    loader = ChoiceLoader([PackageLoader(room) for room in (*rooms, "softprompt.pages")])
    made = Environment(loader=loader, autoescape=True, trim_blocks=True, finalize=_plain)
    made.globals["long"] = LONG
    made.globals["steps"] = lambda theme: Markup("".join(steps(theme)))  # noqa: S704  (our own colours)
    return made


def _plain(value: object) -> object:
    """A text without what a terminal, or a reader's eye, would obey."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else shown(value)
