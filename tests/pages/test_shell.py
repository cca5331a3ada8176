"""What stands in a page's names, titles and pictures is text: none of it is obeyed, and nothing is fetched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from softprompt.explain.comparison import curves, scored
from softprompt.explain.layers import arms_figure, gates_figures
from softprompt.explain.nearest import Nearest, Neighbour, RowReading
from softprompt.explain.nearest_page import control_figure, neighbours_figure
from softprompt.explain.similarity import Similarity, similarity_figures
from softprompt.pages.parts import Code, Facts, Note, Part, Section, Table
from softprompt.pages.shell import page_of, write_page

from ..shared.pages import Read
from ..shared.runs import finished

BAD = '<b>it</b><a href="javascript:alert(1)">x</a><img src=x onerror=alert(1)>"\'\x1b'
ROW = RowReading(0, 1.0, (Neighbour(BAD, 3, 0.5),), 0.1)
RUN = finished(metric=BAD, method=BAD, test={BAD: 0.5, "interval": [0.4, 0.6]}, history=[{"step": 1, BAD: 0.5}])
ARM = {"arm": BAD, "mean": 0.5, "deviation": None, "runs": [{"kept_layers": [0], "seed": 1, "value": 0.5}]}
FOUND: dict[str, Any] = {
    "arms": [ARM],
    "metric": BAD,
    "reference": BAD,
    "layers": 2,
    "gates": {BAD: {"1": [[0.5, 0.5]]}},
    "seeds": [1],
}
READING = Nearest((ROW,), (), 0.0, 0.0, 9, 1.0)


def hostile() -> list[Part]:
    """Every kind of part with markup of a user in each of its texts."""
    figures = [scored([RUN]), *curves([RUN]), arms_figure(FOUND), *gates_figures(FOUND), neighbours_figure(READING)]
    figures += [control_figure(READING), *similarity_figures(Similarity((BAD,), (BAD,), ((1.0,),), ((1.0,),)))]
    table = Table(BAD, (BAD, "b"), ((BAD, BAD),), (BAD,), searchable=True)
    return [*figures, table, Facts(((BAD, BAD),)), Code(BAD, (BAD, BAD)), Note(BAD)]


@pytest.fixture(scope="module")
def source() -> str:
    return page_of(f"{BAD}\udcff", [BAD], hostile(), [Section(BAD, (BAD,), tuple(hostile()))])


def test_no_markup_of_a_user_is_obeyed(source: str) -> None:
    read = Read(source)
    tags = [tag for tag, _ in read.elements]
    assert not {"b", "img"} & set(tags)
    assert tags.count("script") == 1
    assert all((one["href"] or "").startswith("#") for one in read.all("a"))
    assert not [name for _, found in read.elements for name in found if name.startswith("on")]
    assert "\x1b" not in source
    assert "\udcff" not in source


def test_nothing_is_fetched_from_anywhere(source: str) -> None:
    read = Read(source)
    assert [one["href"] for one in read.all("link")] == ["data:,"]
    for _, attributes in read.elements:
        assert {"src", "srcset", "action", "poster"}.isdisjoint(attributes)
    assert not re.search(r"(https?:)?//[a-z]", source)
    assert "@import" not in source
    assert "url(" not in source
    policy = next(one["content"] or "" for one in read.all("meta") if "http-equiv" in one)
    assert policy.startswith("default-src 'none'")


def test_each_picture_has_words_and_numbers_beside_it(source: str) -> None:
    read = Read(source)
    count = len(read.all("figure"))
    assert count == len(read.all("figcaption")) == len(read.all("details")) == len(read.all("svg"))
    assert all(one["role"] == "img" and one["aria-label"] for one in read.all("svg"))
    names = [one["id"] for one in read.all("figure")]
    assert len(set(names)) == count
    # What scrolls can be reached by keyboard, and says what it is.
    assert all(
        one.get("tabindex") == "0" and one["aria-label"]
        for one in read.all("div")
        if "wide" in (one.get("class") or "")
    )


def test_lines_of_code_are_lines() -> None:
    assert '<pre tabindex="0">a = 1\nb = &lt;2\n</pre>' in page_of("t", [], [Code("c", ("a = 1", "b = <2"))])


def test_a_page_is_written_whole(tmp_path: Path) -> None:
    place = write_page(tmp_path / "page.html", "a title", ["a line"], sections=[Section("One"), Section("And two")])
    page = place.read_text(encoding="utf-8")
    assert page == page_of("a title", ["a line"], sections=[Section("One"), Section("And two")])
    assert '<a href="#and-two">And two</a>' in page
    assert '<section id="and-two">' in page
