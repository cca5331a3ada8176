"""Which runs a table shows, in which order and in which groups."""

from __future__ import annotations

from softprompt.studio.listing import Line
from softprompt.studio.view import View, grouped

LINES = [
    Line("b", "finished", task="sst2", method="capt", backbone="minilm", seed=13, metric="accuracy", value=0.5),
    Line("a", "finished", task="sst2", method="lora", backbone="minilm", seed=21, metric="accuracy", value=0.75),
    Line("c", "broken", "metrics.json: no JSON"),
    Line("d", "training", task="rte", method="capt", backbone="gemma", seed=13, metric="accuracy"),
]


def names(view: View) -> list[list[str]]:
    return [[line.name for line in group.lines] for group in grouped(LINES, view)]


def test_words_are_found_anywhere_in_a_line_and_all_of_them() -> None:
    assert names(View(find="CAPT minilm")) == [["b"]]
    assert names(View(find="no json")) == [["c"]]
    assert names(View(find="nothing like it")) == []


def test_runs_are_ordered_and_what_is_not_known_stands_last_either_way() -> None:
    assert names(View(sort="score", down=True)) == [["a", "b", "c", "d"]]
    assert names(View(sort="score", down=False)) == [["b", "a", "c", "d"]]
    assert names(View(sort="name", down=False)) == [["a", "b", "c", "d"]]


def test_a_head_orders_and_turns_the_order_round() -> None:
    once = View(sort="name", down=False).by("score")
    assert (once.sort, once.down, once.by("score").down, once.by("task").down) == ("score", True, False, False)


def test_groups_tell_their_mean_where_it_means_something() -> None:
    found = {group.title: group.told for group in grouped(LINES, View(group="task"))}
    assert found == {"rte": "1 run", "sst2": "2 runs, mean accuracy 0.625", "": "1 run"}
    assert [group.title for group in grouped(LINES, View(group="task"))][-1] == ""
