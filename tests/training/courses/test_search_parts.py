"""What a search is made of: halves of the rows, their order, the consistency term, and what is kept."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from softprompt.readouts import Item
from softprompt.tasks.rows import Row
from softprompt.training.courses.layer_search import as_bars, consistency, halves, schedule, settled

from ...shared.prompts import close


def items(counts: dict[Any, int]) -> list[Item]:
    return [
        Item((), (), label, Row({"n": f"{label}/{index}"}, 0))
        for label, count in counts.items()
        for index in range(count)
    ]


def names(rows: list[Item]) -> list[str]:
    return [item.row.fields["n"] for item in rows]


def test_halves_have_as_many_of_each_class_and_nothing_in_common() -> None:
    rows = items({0: 16, 1: 31, 2: 40})
    first, second = halves(rows, 5)
    assert Counter(item.label for item in first) == {0: 8, 1: 15, 2: 20}
    assert Counter(item.label for item in second) == {0: 8, 1: 16, 2: 20}
    assert sorted(names(first) + names(second)) == sorted(names(rows))
    assert [names(half) for half in halves(rows, 5)] == [names(first), names(second)]
    assert names(halves(rows, 6)[0]) != names(first)


def test_a_half_that_would_be_too_small_is_all_rows() -> None:
    rows = items({0: 15, 1: 400})
    assert [names(half) for half in halves(rows, 5)] == [names(rows)] * 2
    numbers = items({0.25: 9, 0.75: 7})  # of a regression: no classes
    assert [len(half) for half in halves(numbers, 5)] == [8, 8]


def test_the_schedule_takes_turns_and_goes_through_each_half_again_and_again() -> None:
    first, second = halves(items({0: 16, 1: 16}), 5)
    order = schedule((first, second), 7, 6, 5)
    assert len(order) == 2 * 7 * 6
    batches = [names(order[start : start + 6]) for start in range(0, len(order), 6)]
    for turn, batch in enumerate(batches):
        assert set(batch) <= set(names((first, second)[turn % 2]))
    for level, half in enumerate((first, second)):
        stream = [name for batch in batches[level::2] for name in batch]
        assert sorted(stream[:16]) == sorted(stream[16:32]) == sorted(names(half))
        assert stream[:16] != stream[16:32]
    assert names(schedule((first, second), 7, 6, 5)) == names(order)


def test_the_last_quarter_settles_the_gates() -> None:
    course = [[0.1, 0.9]] * 6 + [[0.6, 0.2], [0.8, 0.4]]
    assert settled(course) == pytest.approx([0.7, 0.3])
    assert settled([[0.3, 0.4]]) == [0.3, 0.4]
    assert as_bars([0.0, 0.5, 1.0]) == "gates ▁▅█ 1/3 over a half"


def test_consistency_is_the_mean_of_both_divergences() -> None:
    one, other = (torch.randn(5, 3).log_softmax(-1) for _ in range(2))
    assert float(consistency(one, one, "kl")) == 0.0
    assert float(consistency(one, one, "mse")) == 0.0
    divergence = torch.nn.functional.kl_div
    both = divergence(other, one.exp(), reduction="batchmean") + divergence(one, other.exp(), reduction="batchmean")
    close(consistency(one, other, "kl"), both / 2, 1e-6)
    close(consistency(other, one, "kl"), consistency(one, other, "kl"), 1e-6)
    close(consistency(one, other, "mse"), torch.nn.functional.mse_loss(one, other), 1e-6)
