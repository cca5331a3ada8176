"""Markdown as a renderer reads it: the cells are the grids' own texts again."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from softprompt.compare.formats.grids import BEST, SECOND, grids_of
from softprompt.compare.formats.markdown import as_markdown, escaped
from softprompt.errors import shown

from ...shared.compared import compared

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])  # rich brings it


def texts(html: str) -> list[str]:
    """The cells of a rendered table."""
    cells = re.findall(r"<t[hd](?: [^>]*)?>(.*?)</t[hd]>", html, re.S)
    return [unescape(re.sub(r"</?(strong|u)>", "", one)) for one in cells]


@pytest.mark.parametrize("hostile", [False, True])
def test_a_renderer_shows_what_stands_in_the_grids(hostile: bool) -> None:
    table = compared(hostile)
    html = READER.render(as_markdown(table))
    expected = []
    for grid in grids_of(table):
        expected += [*grid.columns, *(entry.text for row in grid.rows for entry in row)]
    assert texts(html) == [shown(one) for one in expected]
    assert "<script" not in html
    assert html.count("<table>") == len(grids_of(table))
    marks = [entry.mark for grid in grids_of(table) for row in grid.rows for entry in row if entry.text]
    assert html.count("<strong>") == marks.count(BEST)
    assert html.count("<u>") == marks.count(SECOND)


@pytest.mark.parametrize(
    "text", ["a_b", "*a*", "`a`", "[a](b)", "a|b", "# a", "- a", "1 < 2 & 3", "a\\*b", "![x](y)", "~a~"]
)
def test_texts_are_shown_as_they_are(text: str) -> None:
    found = READER.render(f"x {escaped(text)}")
    assert unescape(found) == f"<p>x {text}</p>\n"


@settings(max_examples=80, deadline=None)
@given(st.text("ab1 \\`*_{}[]()#+-.!|<>&~:;=\"'/", min_size=1, max_size=12))
def test_any_name_is_a_cell_as_it_is(text: str) -> None:
    name = f"x{text}x"
    found = READER.render(f"| {escaped(name)} | b |\n| --- | --- |\n| a | {escaped(name)} |\n")
    own = [unescape(one) for one in re.findall(r"<t[hd]>(.*?)</t[hd]>", found, re.S)]
    assert own == [name, "b", "a", name]
