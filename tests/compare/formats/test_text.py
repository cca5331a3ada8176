"""A terminal of 100 columns shows the whole table, and obeys nothing that stands in it."""

from __future__ import annotations

from dataclasses import replace

from softprompt.compare.formats.text import as_text

from ...shared.compared import HOSTILE, compared


def test_it_fits_and_no_word_is_lost() -> None:
    text = as_text(compared())
    tables = [line for line in text.splitlines() if not line.startswith(("left out", " "))]
    assert max(map(len, tables)) <= 100
    for word in ("a_plugin", "sst2", "trec", "words", "big_model", "95 % interval", "Holm", "tunable %"):
        assert word in text
    assert "\x1b" not in text


def test_a_style_is_the_only_code_in_it() -> None:
    styled = as_text(compared(hostile=True), styled=True)
    assert "\x1b[1m" in styled
    assert "\x1b[31m" not in styled
    assert r"\x1b[31m" in styled


def test_many_columns_are_shown_in_parts_that_each_have_the_names() -> None:
    table = compared()
    sheet = table.sheets[1]
    own = sheet.columns[0]
    many = [replace(own, label=f"task number {place}") for place in range(12)]
    results = {(method, one.label): sheet.results[method, own.label] for method in sheet.methods for one in many}
    wide = replace(table, sheets=(replace(sheet, columns=tuple(many), results=results, ranks=None),))
    text = as_text(wide)
    tables = [line for line in text.splitlines() if not line.startswith(("left out", " "))]
    assert max(map(len, tables)) <= 100
    assert text.count("accuracy on tiny\n") > 1
    assert all(f"task number {place}" in text for place in range(12))


def test_markup_of_rich_is_text() -> None:
    table = compared()
    sheet = table.sheets[0]
    text = as_text(replace(table, sheets=(replace(sheet, backbone="[bold]x[/bold]"),)))
    assert "[bold]x[/bold]" in text
    assert HOSTILE not in text
