"""What stands in the grids that a terminal, Markdown and LaTeX show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from softprompt.compare.formats.grids import (
    BEST,
    SECOND,
    costs_grid,
    grids_of,
    score,
    scores_grid,
    signed,
    told,
    with_deviation,
)
from softprompt.compare.suites import SuiteAverage
from softprompt.compare.table import Comparison

from ...shared.compared import compared


def test_each_backbone_has_scores_tests_costs_and_ranks() -> None:
    titles = [grid.title for grid in grids_of(compared())]
    assert titles == [
        "accuracy on big_model",
        "sst2 on big_model, 24 test rows",
        "costs on big_model",
        "accuracy on tiny",
        "sst2 on tiny, 24 test rows",
        "trec on tiny, 24 test rows",
        "words on tiny, 24 test rows",
        "costs on tiny",
        "average rank over 3 tasks on tiny",
    ]
    assert all(len(row) == len(grid.columns) for grid in grids_of(compared()) for row in grid.rows)


def test_each_task_has_one_best_and_one_second_and_a_star_is_a_small_p() -> None:
    table = compared()
    sheet, scores = table.sheets[1], grids_of(table)[3]
    for place in (1, 2, 3):
        marks = [row[place].mark for row in scores.rows]
        assert (marks.count(BEST), marks.count(SECOND)) == (1, 1)
        means = {row[0].text: sheet.results[row[0].text, scores.columns[place]].mean for row in scores.rows}
        best = next(row[0].text for row in scores.rows if row[place].mark == BEST)
        assert means[best] == max(means.values())
    for row in scores.rows:
        for place, label in enumerate(scores.columns[1:], 1):
            found = sheet.results[row[0].text, label].comparison
            starred = found is not None and found.seeds > 1 and found.p_holm is not None and found.p_holm < 0.05
            assert row[place].text.endswith("*") == starred
    lora = next(row for row in scores.rows if row[0].text == "lora")
    assert lora[2].text.endswith("(1/2)")


def test_what_is_left_out_is_told_with_its_reason() -> None:
    lines = list(told(compared()))
    assert len([line for line in lines if line.startswith("left out: ")]) == 1
    assert lines[-1].endswith(
        "begun: not finished: the command that began it goes on with it, train and multitask with --resume"
    )


def test_one_seed_has_no_star_however_small_its_p() -> None:
    sheet = compared().sheets[1]
    key, result = next(iter(sheet.results.items()))
    sure = Comparison(0.2, 2, 0.01, 0.001, 0.01, 0.01)

    def told(comparison: Comparison) -> str:
        return score(replace(sheet, results={key: replace(result, comparison=comparison)}), *key)

    assert told(sure).endswith("*")
    assert not told(replace(sure, seeds=1, p_seeds=None)).endswith("*")


@pytest.mark.parametrize(
    ("mean", "deviation", "text"),
    [(0.8533, 0.012, "0.853 ±.012"), (0.5, None, "0.500"), (12.0, 1.5, "12.000 ±1.500"), (0.9, 0.0, "0.900 ±.000")],
)
def test_deviations_are_printed_as_papers_do(mean: float, deviation: float | None, text: str) -> None:
    assert with_deviation(mean, deviation) == text


def test_averages_that_print_alike_are_all_the_best() -> None:
    table = compared()
    sheet = table.sheets[1]
    means = zip(sheet.methods, (0.8122, 0.8123, 0.7), strict=True)
    averages = {"ours": {method: SuiteAverage(mean, None) for method, mean in means}}
    grid = scores_grid(replace(sheet, suites=averages), None)
    assert [(row[-1].text, row[-1].mark) for row in grid.rows] == [("0.812", BEST), ("0.812", BEST), ("0.700", "")]


@pytest.mark.parametrize(
    ("difference", "text"),
    [(-1e-17, "+0.000"), (-0.0004, "+0.000"), (0.0, "+0.000"), (-0.0006, "-0.001"), (0.1, "+0.100")],
)
def test_no_difference_has_no_sign_below_zero(difference: float, text: str) -> None:
    assert signed(difference) == text


def test_costs_are_over_the_tasks_that_all_methods_have() -> None:
    """Where a method lacks the slowest task it is not the faster for that."""
    sheet = compared().sheets[1]
    slow, label = sheet.methods[0], sheet.columns[0].label
    results = {
        (method, one): replace(result, costs=replace(result.costs, seconds=1000.0 if one == label else 2.0))
        for (method, one), result in sheet.results.items()
    }
    del results[slow, label]
    grid = costs_grid(replace(sheet, results=results))
    place = grid.columns.index("seconds")
    assert {row[place].text for row in grid.rows} == {"2.0"}
    others = sorted(one.label for one in sheet.columns[1:])
    assert grid.foot[-1] == f"over the tasks alone that all methods have: {', '.join(others)}"
    alone = {key: result for key, result in results.items() if (key[0] == slow) != (key[1] == label)}
    assert "which are not to be compared" in costs_grid(replace(sheet, results=alone)).foot[-1]
