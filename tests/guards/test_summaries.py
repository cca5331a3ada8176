"""Short looks of values: some lines at a prompt of Python, a table in a notebook, and what users wrote as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from softprompt.guards.summaries import Summarised, Summary

BAD = "<script>alert(1)</script>\x1b[31m\n<b>"
WHOLE = Summary(f"Run: {BAD}", [("test", BAD), (BAD, "one")], ["row", BAD], [[str(row), BAD] for row in range(30)])


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def tags(markup: str) -> Tags:
    parser = Tags()
    parser.feed(markup)
    return parser


def test_what_users_wrote_is_text_and_no_markup() -> None:
    seen = tags(WHOLE.html())
    assert {tag for tag, _ in seen.found} == {"div", "b", "table", "tr", "th", "td"}
    assert seen.text.count("<script>alert(1)</script>") == 34
    assert "\x1b" not in WHOLE.html() + WHOLE.text()
    assert all(line.isprintable() for line in WHOLE.text().splitlines())


def test_lines_are_few_and_short() -> None:
    lines = WHOLE.text().splitlines()
    assert len(lines) == 10
    assert lines[-1] == "  and 25 more"
    assert max(map(len, Summary("x" * 9999, [("a", "y" * 9999)]).text().splitlines())) < 200


def test_the_table_has_no_colour_of_its_own() -> None:
    """So it takes those of the page, light or dark."""
    styles = " ".join(style or "" for _, found in tags(WHOLE.html()).found for style in found.values())
    assert not re.search(r"color|background|#[0-9a-f]{3}|rgb", styles)


def test_a_value_shows_its_summary_everywhere() -> None:
    class Value(Summarised):
        def summary(self) -> Summary:
            return Summary("Value", [("a", "1"), ("long", "2")])

    assert repr(Value()) == str(Value()) == "Value\n  a     1\n  long  2"
    assert Value()._repr_html_() == Value().summary().html()
