"""What the rest of a table takes."""

from __future__ import annotations

import pytest

from softprompt.compare.cells import Cell
from softprompt.compare.pace import Pace


def pace(rows: dict[str, int] | None = None) -> Pace:
    cells = {
        f"{task}-{method}-{seed}": Cell(
            name=f"{task}-{method}-{seed}", folder="", backbone="tiny", task=task, method=method, seed=seed
        )
        for task in ("sst2", "cb")
        for method in ("capt", "lora")
        for seed in (1, 2)
    }
    return Pace(cells, {name: 225 if name.startswith("cb") else 25 for name in cells} if rows is None else rows)


def test_nothing_is_known_before_a_cell_ended() -> None:
    assert pace().expected("sst2-capt-1") is None


def test_cells_of_other_seeds_take_as_long() -> None:
    one = pace()
    one.seconds |= {"sst2-capt-1": 10.0, "sst2-lora-1": 90.0, "cb-capt-1": 1000.0}
    assert one.expected("sst2-capt-2") == 10
    assert one.expected("cb-capt-2") == 1000


def test_another_task_takes_as_long_a_row() -> None:
    one = pace()
    one.seconds |= {"sst2-capt-1": 10.0, "sst2-lora-1": 30.0}
    assert one.expected("cb-capt-1") == 90
    assert one.expected("cb-lora-1") == 270


def test_a_method_that_was_not_seen_is_as_the_others() -> None:
    one = pace()
    one.seconds["sst2-capt-1"] = 10.0
    assert one.expected("sst2-lora-1") == 10
    assert one.expected("cb-lora-1") == pytest.approx(90)


def test_rows_may_be_unknown() -> None:
    one = pace({})
    one.seconds |= {"sst2-capt-1": 10.0, "sst2-lora-1": 30.0}
    assert one.expected("cb-capt-1") == 10
