"""The queue: fair among tasks, mindful of lengths, and nobody waits for ever."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.serving.fair import FairQueue


@dataclass(eq=False)
class One:
    task: str
    longest: int
    cost: int
    arrived: float = 0.0


def rows(task: str, lengths: list[int], arrived: float = 0.0) -> list[One]:
    return [One(task, length, length, arrived) for length in lengths]


def queue_of(*waiting: One, pads: bool = True) -> FairQueue[One]:
    made: FairQueue[One] = FairQueue(pads=pads)
    for one in waiting:
        made.add(one)
    return made


def test_a_single_row_is_not_kept_waiting_by_a_hundred_of_another_task() -> None:
    queue = queue_of(*rows("busy", [10] * 100), *rows("quiet", [10]))
    assert [one.task for one in queue.take(40, 0)].count("quiet") == 1


def test_tasks_are_given_as_many_columns_whatever_their_lengths() -> None:
    queue = queue_of(*rows("long", [40] * 50, -1), *rows("short", [10] * 200, -1))
    given: dict[str, int] = {"long": 0, "short": 0}
    for _ in range(10):
        for one in queue.take(200, 0):
            given[one.task] += one.cost
    assert abs(given["long"] - given["short"]) <= 200


def test_who_was_idle_has_saved_nothing_up() -> None:
    queue = queue_of(*rows("busy", [10] * 50))
    for _ in range(4):
        queue.take(100, 0)
    for one in rows("back", [10] * 50):
        queue.add(one)
    taken = [one.task for one in queue.take(100, 0)]
    assert {taken.count("busy"), taken.count("back")} == {5}


def test_a_long_row_does_not_widen_a_batch_of_short_ones_until_it_has_waited() -> None:
    def queue() -> FairQueue[One]:
        return queue_of(*rows("a", [5] * 8, 2.0), One("b", 100, 100, 1.0))

    assert {one.longest for one in queue().take(1000, late=0.0)} == {5}
    assert {one.longest for one in queue().take(1000, late=1.5)} == {5, 100}


def test_rows_that_are_not_padded_are_together_unless_attention_would_be_much_wider() -> None:
    waiting = [*rows("a", [5] * 8), One("b", 100, 100), One("c", 600, 600)]
    batch = queue_of(*waiting, pads=False).take(1000, late=-1.0)
    assert sorted(one.longest for one in batch) == [5] * 8 + [100]
    queue = queue_of(*rows("a", [10] * 10), One("b", 100, 100), pads=False)
    assert sum(one.cost for one in queue.take(150, late=-1.0)) == 150  # what they cost, and no more


def test_a_row_that_costs_more_than_there_is_room_is_waited_for() -> None:
    queue = queue_of(*rows("a", [50]), *rows("b", [5] * 4))
    assert queue.take(20, 0, some=False) == []
    assert [one.longest for one in queue.take(20, 0)] == [50]


def test_what_is_taken_out_does_not_come() -> None:
    gone, kept = rows("a", [5, 6])
    queue = queue_of(gone, kept)
    assert queue.remove(gone)
    assert not queue.remove(gone)
    assert (queue.take(100, 0), len(queue), queue.oldest, queue.cost) == ([kept], 0, None, 0)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 60), st.integers(1, 4)), min_size=1, max_size=40),
    st.integers(1, 200),
)
@settings(max_examples=60, deadline=None)
def test_every_row_comes_once_in_its_tasks_batches_within_the_budget(
    given: list[tuple[str, int, int]], budget: int
) -> None:
    waiting = [One(task, length, length * count, place) for place, (task, length, count) in enumerate(given)]
    queue, found = queue_of(*waiting), []
    while len(queue):
        batch = queue.take(budget, 10)
        padded = max(one.longest for one in batch) * sum(one.cost // one.longest for one in batch)
        assert len(batch) == 1 or padded <= budget
        found += batch
    assert sorted(map(id, found)) == sorted(map(id, waiting))
