"""Draws of rows: each class its share, groups whole, and no more than there are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.errors import SoftPromptError
from softprompt.tasks import Row, Task
from softprompt.tasks.data.sampling import take

from ...shared.tables import GOOD, REVIEWS, told, write


def test_more_shots_than_rows(tmp_path: Path) -> None:
    write(tmp_path / "train.tsv", GOOD)
    write(tmp_path / "dev.tsv", GOOD)
    with pytest.raises(SoftPromptError) as error:
        Task.load("sst2", data=tmp_path, shots=3).splits()
    told(error, "of class '0' is 5 rows where 6 are to be drawn", "fewer shots")


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    share=st.floats(0, 1),
    seed=st.text(max_size=4),
)
@settings(deadline=None)
def test_take_gives_each_class_its_share(sizes: list[int], share: float, seed: str) -> None:
    everything = [Row({}, label, index=i) for i, label in enumerate(c for c, n in enumerate(sizes) for _ in range(n))]
    count = round(share * len(everything))
    rest, drawn = take(everything, count, lambda row: row.label, seed)
    assert len(drawn) == count
    assert sorted([*rest, *drawn], key=lambda row: row.index) == everything
    for label, size in enumerate(sizes):
        of_class = sum(row.label == label for row in drawn)
        assert abs(of_class - size * count / len(everything)) < 1


def test_groups_stay_whole() -> None:
    everything = [Row({}, 0, group=f"g{number // 3}", index=number) for number in range(60)]
    rest, drawn = take(everything, 10, lambda row: row.label, "seed")
    assert len(drawn) == 9
    assert not {row.group for row in rest} & {row.group for row in drawn}


def test_rows_of_no_group_stand_alone_among_groups() -> None:
    rows = [Row({}, 0, group="one" if number < 5 else None, index=number) for number in range(60)]
    for seed in range(5):
        rest, drawn = take(rows, 12, lambda row: row.label, str(seed))
        assert 7 < len(drawn) <= 12
        assert sum(row.group == "one" for row in drawn) in (0, 5)


@pytest.mark.parametrize("groups", [1, 2])
def test_groups_that_are_too_few_to_divide_are_told(groups: int) -> None:
    rows = [{"text": f"w{n} w20", "label": n % 2, "group": f"g{n % groups}"} for n in range(40)]
    with pytest.raises(SoftPromptError, match=r"too few groups \(1\).*rename the column"):
        REVIEWS.with_data(rows).splits()
    splits = REVIEWS.with_data([{**row, "group": ""} for row in rows]).splits()
    assert {len(splits.train), len(splits.test)} == {32, 4}
    assert not splits.notes
    grouped = REVIEWS.with_data([{**row, "group": f"g{n // 2}"} for n, row in enumerate(rows)]).splits()
    assert grouped.notes == ("rows of a group (column 'group') stay in one part: 20 groups",)
