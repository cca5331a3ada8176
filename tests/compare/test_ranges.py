"""Ranges as they are typed: what is drawn from one can be set, and what is wrong with one is told in a line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.compare.cells import Cell
from softprompt.compare.ranges import default_of, typed_ranges, usual_ranges, with_values
from softprompt.errors import SoftPromptError
from softprompt.methods.registry import method

CELL = Cell(name="", folder="", backbone="", method="prompt_tuning", seed=1, training_options={"epochs": "3"})
ENDS = st.one_of(st.integers(1, 10**6), st.floats(1e-9, 1e6, allow_subnormal=False))


@settings(max_examples=60, deadline=None)
@given(ends=st.tuples(ENDS, ENDS), log=st.booleans())
def test_a_range_is_read_as_it_was_meant_and_told_again(ends: tuple[float, float], log: bool) -> None:
    low, high = ends
    text = f"learning_rate={low}..{high}{':log' if log else ''}"
    if low >= high:
        with pytest.raises(SoftPromptError, match="is empty: write its lower end first"):
            typed_ranges([text], CELL)
        return
    (one,) = typed_ranges([text], CELL)
    assert (one.name, one.owner, one.low, one.high, one.log) == ("learning_rate", "training", low, high, log)
    assert one.whole == (isinstance(low, int) and isinstance(high, int))
    assert one.place_of(float(low)) == low
    assert one.place_of(high * 2) is None


@settings(max_examples=80, deadline=None)
@given(text=st.text(alphabet="0123456789.e-+:log,;=_ nainf", max_size=14))
def test_any_text_is_a_range_or_one_line(text: str) -> None:
    line, found = "", ()
    try:
        found = typed_ranges([f"num_virtual_tokens={text}"], CELL)
    except SoftPromptError as error:
        line = str(error)
    assert "\n" not in line
    assert bool(found) != line.startswith("--over ")
    if not found:
        return
    (one,) = found
    for value in one.choices or (one.low, one.high):
        changed = with_values(CELL, found, {one.name: value})
        method(changed.method, **changed.method_options)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("learning_rate", ("learning_rate", "write NAME=LOW..HIGH")),
        ("=1..2", ("write NAME=LOW..HIGH",)),
        ("learning_rat=1..2", ("no such option", "did you mean 'learning_rate'?")),
        ("learning_rate=0..1:log", ("no logarithm at 0", "begin above 0")),
        ("learning_rate=-1..1", ("greater than 0",)),
        ("learning_rate=a..1", ("'a' is no number", "1e-3..1:log")),
        ("learning_rate=1e-3..inf", ("'inf' is no number",)),
        ("learning_rate=0.1,0.1", ("there twice",)),
        ("num_virtual_tokens=0.5..2.5", ("num_virtual_tokens",)),
        ("init=nowhere,random", ("init",)),
        ("epochs=1..9", ("epochs is set, too: leave it out there",)),
    ],
)
def test_what_is_wrong_is_told(text: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(SoftPromptError) as error:
        typed_ranges([text], CELL)
    line = str(error.value)
    assert "\n" not in line
    assert line.startswith("--over ")
    assert all(part in line for part in parts), line


def test_one_option_has_one_range() -> None:
    with pytest.raises(SoftPromptError, match="--over learning_rate: it is given twice"):
        typed_ranges(["learning_rate=1..2", "learning_rate=0.1,0.2"], CELL)


def test_values_are_told_apart_by_what_they_come_to() -> None:
    (one,) = typed_ranges(["num_virtual_tokens=1, 5,20"], CELL)
    assert (one.place_of(20), one.place_of(7)) == ("20", None)
    assert with_values(CELL, [one], {"num_virtual_tokens": "5"}).method_options == {"num_virtual_tokens": "5"}
    (one,) = typed_ranges(["max_steps=none,10"], CELL)
    assert one.place_of(None) == "none"
    assert with_values(CELL, [one], {"max_steps": "none"}).training_options == {"epochs": "3", "max_steps": None}
    spt = CELL.model_copy(update={"method": "spt"})
    (one,) = typed_ranges(["select=0,1;2,3"], spt)
    assert one.choices == ("0,1", "2,3")
    assert one.told() == "select=0,1;2,3"


def test_the_usual_ranges_are_around_the_default() -> None:
    defaults = {"method": {"num_virtual_tokens": 20}, "training": {"learning_rate": 0.03, "head_learning_rate": 0.01}}
    rate, length = usual_ranges(CELL, defaults)
    assert (rate.low, rate.high, rate.log) == (pytest.approx(0.003), pytest.approx(0.3), True)
    assert (length.told(), length.whole) == ("num_virtual_tokens=5..80:log", True)
    assert default_of(length, defaults) == 20
    fixed = CELL.model_copy(update={"method_options": {"num_virtual_tokens": 2}})
    assert [one.name for one in usual_ranges(fixed, defaults)] == ["learning_rate"]
    head = CELL.model_copy(update={"method": "head_only"})
    assert [one.name for one in usual_ranges(head, {**defaults, "method": {}})] == ["head_learning_rate"]
    none = head.model_copy(update={"training_options": {"head_learning_rate": 0.1}})
    with pytest.raises(SoftPromptError, match="say with --over what to search"):
        usual_ranges(none, {**defaults, "method": {}})


def test_the_ranges_of_the_page_can_be_searched() -> None:
    page = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")
    typed = re.findall(r"--over (\w+=\S+)", page) + re.findall(r"^\| `(\w+=\S+)` \|", page, re.M)
    assert len(typed) == 8
    for text in typed:
        method_of = "spt" if text.startswith("select") else "prompt_tuning"
        assert typed_ranges([text], CELL.model_copy(update={"method": method_of}))


@pytest.mark.parametrize("text", ["../a,../b", "runs/../a,b", "..\\a,..\\b"])
def test_folders_above_are_values(text: str) -> None:
    (one,) = typed_ranges([f"init_from={text}"], CELL)
    assert one.choices == tuple(text.split(","))
