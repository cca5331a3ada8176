"""How much of the library is left untyped: few `Any`, fewer `type: ignore`, and none that hides behind a name."""

from __future__ import annotations

import io
import re
import tokenize

from .shared.imports import PACKAGE

FILES = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
MOST_ANY, MOST_IGNORED = 120, 6


def lines_with(name: str, source: str) -> set[int]:
    """Lines in which a name stands as code."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0] for token in tokens if token.type == tokenize.NAME and token.string == name}


def ignored(source: str) -> list[str]:
    """The lines that mypy is told to pass over."""
    return [line for line in source.splitlines() if "# type: ignore" in line]


def test_comments_and_texts_are_no_types() -> None:
    assert lines_with("Any", 'x: Any = 1  # Any\n"""Any"""\nAnything = Any\n') == {1, 3}


def test_few_lines_say_any() -> None:
    assert sum(len(lines_with("Any", source)) for source in FILES.values()) <= MOST_ANY


def test_few_lines_are_passed_over() -> None:
    assert sum(len(ignored(source)) for source in FILES.values()) <= MOST_IGNORED


def test_each_line_that_is_passed_over_names_the_rule_and_the_reason() -> None:
    told = re.compile(r"# type: ignore\[[\w-]+(, ?[\w-]+)*\]  # \w+")
    assert [line for source in FILES.values() for line in ignored(source) if not told.search(line)] == []


def test_no_name_hides_any_without_a_reason() -> None:
    kinds = "dict|list|tuple|Mapping|Sequence"
    alias = re.compile(rf"^\w+(: ?TypeAlias)? = (Any|({kinds})\[.*\bAny\b.*\])$", re.MULTILINE)
    assert {place: found.group() for place, source in FILES.items() if (found := alias.search(source))} == {}
