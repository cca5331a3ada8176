"""What stands in a column, however its table writes it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from softprompt.guards import limits
from softprompt.tasks.guess.profile import Profile, label_of


def seen(values: Iterable[object]) -> Profile:
    found = Profile("x")
    for value in values:
        found.see(value)
    return found


def test_labels_are_the_same_in_every_format() -> None:
    formats = ([1, 2, 2], [1.0, 2.0, 2.0], ["1", "2", "2"], ["1.0", "2.0", " 2.00 "])
    assert {str(seen(values).labels) for values in formats} == {"{'1': 1, '2': 2}"}
    assert seen([True, False]).labels == {"true": 1, "false": 1}
    assert [label_of(text) for text in ("01", "1.5", "v1.0", "-1.0", "True")] == ["01", "1.5", "v1.0", "-1", "True"]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("whole", [1, 2.0, "-3", "4.0"]),
        ("number", [1, 2.5, ".5", "1e-3", "1,000", "12%"]),
        ("date", ["2024-01-02", "2/1/2024", "01.02.24 13:30", "2024-01-02T03:04:05", "Mon Apr 06 22:19:45 PDT 2009"]),
        ("link", ["https://a.de/b", "www.a.de", "a.b@c.de", "/var/log/a", "C:\\a"]),
    ],
)
def test_kinds(kind: str, values: list[object]) -> None:
    assert seen(values).is_all(kind)
    assert not seen([*values, "a text of words"]).is_all(kind)
    assert not seen([]).is_all(kind)


def test_empty_values_and_those_that_are_none() -> None:
    found = seen(["", None, " ", "a", ["b"], {"c": 1}])
    assert (found.rows, found.filled, found.nested, found.example) == (6, 1, 2, "a")
    assert found.empty
    assert not seen(["a", ""]).empty


def test_scripts_without_spaces_have_words() -> None:
    assert seen(["我的包裹還沒有到"]).words >= 3
    assert seen(["parcel"]).words == 1


def test_memory_does_not_grow_with_the_rows() -> None:
    found = seen(f"{'x' * 300}{row}" for row in range(limits.LABELS + 500))
    assert (found.many, found.filled, len(found.counts)) == (True, limits.LABELS + 500, limits.LABELS + 1)
    assert found.labels == {}
    assert found.different == 1
