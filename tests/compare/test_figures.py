"""One result: its interval over what there is, its comparison, its costs."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy.stats import t, ttest_rel

from softprompt.compare.comparable import columns_of
from softprompt.compare.figures import results_of
from softprompt.compare.gathering import FinishedRun, gather
from softprompt.compare.resampling import Answered, Units, chance_over_rows, interval
from softprompt.compare.significance import holm
from softprompt.compare.table import Result

from ..shared.run_folders import answers, cell, few, hits


def results(folder: Path, baseline: str | None = None) -> dict[str, Result]:
    (column,) = columns_of(gather([folder]).finished)[0]
    runs: dict[str, dict[int, FinishedRun]] = {}
    for run in column.runs:
        runs.setdefault(run.record.method, {})[run.record.seed] = run
    return results_of(column, runs, baseline, {"capt": 60.0})


def units(method: str, *seeds: int) -> Units:
    sums = {seed: answers(hits(method, seed)).sums("accuracy") for seed in seeds}
    return Units.of("accuracy", {seed: Answered("same", one) for seed, one in sums.items()})


def test_with_answers_the_interval_is_over_rows_and_seeds(tmp_path: Path) -> None:
    found = results(few(tmp_path))["capt"]
    ends = interval(units("capt", 13, 21))
    assert ends is not None
    assert found.interval == (*ends, "rows and seeds")
    assert found.mean == pytest.approx(sum(hits("capt", 13) + hits("capt", 21)) / 48)


def test_one_seed_has_the_interval_of_its_rows(tmp_path: Path) -> None:
    found = results(few(tmp_path, seeds=(13,)))["capt"]
    assert found.deviation is None
    assert found.interval is not None
    assert found.interval.over == "rows"


def test_without_answers_it_is_over_seeds(tmp_path: Path) -> None:
    for seed, own in ((1, [1, 1, 1, 0]), (2, [1, 1, 0, 0]), (3, [1, 1, 1, 1])):
        cell(tmp_path / str(seed), "capt", seed, own, predictions=seed == 1)
    found = results(tmp_path)["capt"]
    low, high = t.interval(0.95, 2, loc=0.75, scale=0.25 / 3**0.5)
    assert found.interval == (pytest.approx(low), pytest.approx(high), "seeds")


def test_one_run_without_answers_has_its_own(tmp_path: Path) -> None:
    cell(tmp_path / "a", "capt", predictions=False)
    assert results(tmp_path)["capt"].interval == (0.25, 0.75, "rows")


def test_a_comparison_is_the_surer_of_neither_test(tmp_path: Path) -> None:
    few(tmp_path, ("capt", "lora", "lpt"), (13, 21, 42))
    found = results(tmp_path, "capt")
    assert found["capt"].comparison is None
    expected = []
    for method in ("lora", "lpt"):
        own = found[method].comparison
        assert own is not None
        seeds = ttest_rel(list(found[method].scores.values()), list(found["capt"].scores.values())).pvalue
        rows = chance_over_rows(units(method, 13, 21, 42), units("capt", 13, 21, 42))
        assert (own.p_seeds, own.p_rows) == (pytest.approx(seeds), pytest.approx(rows))
        assert own.p == max(own.p_seeds or 0, own.p_rows or 0)
        assert own.difference == pytest.approx(found[method].mean - found["capt"].mean)
        expected.append(own.p)
    comparisons = [found[method].comparison for method in ("lora", "lpt")]
    assert [one and one.p_holm for one in comparisons] == pytest.approx(holm(expected))


def test_only_seeds_that_both_have_are_compared_and_missing_ones_shown(tmp_path: Path) -> None:
    few(tmp_path, ("capt",), (13, 21, 42))
    few(tmp_path / "more", ("lora",), (21, 42, 87))
    found = results(tmp_path, "capt")["lora"]
    assert found.comparison is not None
    assert found.comparison.seeds == 2
    assert found.missing == (13,)
    assert found.comparison.difference == pytest.approx(
        sum(found.scores[seed] for seed in (21, 42)) / 2
        - sum(results(tmp_path)["capt"].scores[seed] for seed in (21, 42)) / 2
    )


def test_without_a_shared_seed_there_is_no_comparison(tmp_path: Path) -> None:
    cell(tmp_path / "a", "capt", 1)
    cell(tmp_path / "b", "lora", 2)
    assert results(tmp_path, "capt")["lora"].comparison is None


def test_without_answers_the_test_is_by_seeds_alone(tmp_path: Path) -> None:
    for method, own in (("capt", [1, 1, 0, 0]), ("lora", [1, 1, 1, 0])):
        for seed in (1, 2):
            cell(tmp_path / f"{method}{seed}", method, seed, [*own, seed == 1 and method == "capt"], predictions=False)
    found = results(tmp_path, "capt")["lora"].comparison
    assert found is not None
    assert found.p_rows is None
    assert found.p == found.p_seeds
    assert found.p is not None


def test_costs_are_the_most_and_the_mean_of_the_runs(tmp_path: Path) -> None:
    cell(tmp_path / "a", "capt", 1, train_seconds=10.0, trained_parameters=100, rows_per_second=4.0)
    cell(tmp_path / "b", "capt", 2, train_seconds=20.0, trained_parameters=300, tunable=None)
    found = results(tmp_path)["capt"].costs
    assert (found.seconds, found.trained, found.rows_per_second, found.search_seconds) == (15.0, 300, 4.0, 60.0)
    assert found.tunable is not None
    assert found.tunable.percent == 0.617
