"""What a page is made of: which columns hold numbers, and what stands side by side."""

from __future__ import annotations

from dataclasses import replace

from markupsafe import Markup

from softprompt.pages.parts import Figure, Note, Section, Table, side_by_side

TABLE = Table("t", ("name", "n", "p", "word"), (("a", "1,234", "<0.001", "1 b"), ("b", "-0.5", "", "x")))
NARROW = Figure("f", "c", Markup("<svg/>"), TABLE)


def test_columns_of_numbers_are_known() -> None:
    assert TABLE.numeric == (False, True, True, False)
    assert Table("t", ("a", "b"), ()).numeric == (False, False)
    assert not TABLE.wordy
    assert replace(TABLE, rows=(("x" * 41, "", "", ""),)).wordy


def test_narrow_figures_stand_side_by_side() -> None:
    wide, note = replace(NARROW, wide=True), Note("n")
    runs = side_by_side([NARROW, NARROW, note, NARROW, wide, NARROW])
    assert [[type(one).__name__ for one in run] for run in runs] == [["Figure"] * 2, ["Note"], *([["Figure"]] * 3)]


def test_a_section_has_a_name_for_links() -> None:
    assert Section("What it answers").name == "what-it-answers"
