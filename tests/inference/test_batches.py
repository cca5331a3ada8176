"""One loop over batches: every row once, the longest first, on the backbone's device, told when it is done."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from softprompt.errors import SoftPromptError
from softprompt.inference.batches import batches, rows_a_batch, to_device

from ..shared.imports import PACKAGE


@dataclass(frozen=True)
class Row:
    length: int


class Holder:
    backbone = nn.Linear(1, 1)


def collate(rows: list[Row]) -> dict[str, Any]:
    return {"lengths": [row.length for row in rows], "inside": {"ids": torch.zeros(len(rows))}}


@given(st.lists(st.integers(0, 9)), st.integers(1, 4), st.booleans())
def test_every_row_comes_once_and_is_told_after_it_was_used(lengths: list[int], size: int, in_order: bool) -> None:
    rows, told, seen = [Row(length) for length in lengths], list[int](), list[int]()
    for chosen, batch in batches(rows, collate, size, Holder(), told.append, in_order=in_order):
        assert sum(told) == len(seen)
        assert batch["lengths"] == [lengths[place] for place in chosen]
        assert len(chosen) <= size
        seen += chosen
    assert sum(told) == len(rows)
    order = range(len(rows)) if in_order else sorted(range(len(rows)), key=lambda place: -lengths[place])
    assert seen == list(order)  # those of one length as they stood


def test_all_tensors_of_a_batch_are_moved_those_inside_it_too() -> None:
    class Elsewhere:
        backbone = nn.Linear(1, 1, device="meta")

    moved = to_device({"ids": torch.ones(2), "inside": {"ids": torch.ones(2)}, "labels": [1, None]}, Elsewhere())
    assert moved["ids"].device.type == moved["inside"]["ids"].device.type == "meta"
    assert moved["labels"] == [1, None]


def test_nobody_else_goes_over_rows_in_batches() -> None:
    """A loop `for start in range(0, ..., size)` around a `collate` stands here alone."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.For) or not isinstance(node.iter, ast.Call):
                continue
            called = node.iter.func
            inside = {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}
            inside |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
            if (
                isinstance(called, ast.Name)
                and called.id == "range"
                and len(node.iter.args) == 3
                and "collate" in inside
            ):
                found.add(str(path.relative_to(PACKAGE)))
    assert found == {"inference/batches.py"}


@pytest.mark.parametrize("size", [0, -1, 2.0, "8"])
def test_a_size_that_is_none_is_told_in_a_line(size: Any) -> None:
    with pytest.raises(SoftPromptError, match="give a whole number of at least 1"):
        next(batches([Row(1)], collate, size, Holder()))


def test_a_number_of_rows_may_be_numpys() -> None:
    assert rows_a_batch(np.int64(3)) == 3
    rows = [Row(length) for length in (3, 1, 2)]
    assert [chosen for chosen, _ in batches(rows, collate, np.int64(2), Holder())] == [[0, 2], [1]]  # type: ignore[arg-type]  # of a table's
