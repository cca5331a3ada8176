"""Suites against the published table, and against the catalog's metrics."""

from __future__ import annotations

import pytest

from softprompt.compare.suites import SUITES, average
from softprompt.tasks import Task


def of_spread(mean: float, deviation: float) -> list[float]:
    """Three seeds of a mean and a deviation."""
    return [mean - deviation, mean, mean + deviation]


def test_capts_row_on_t5_base_gives_its_average_and_deviation() -> None:
    """CaPT, Table 1: BoolQ, CB, COPA, MultiRC, RTE and WiC, and the printed average 77.51 +- .33."""
    row = [(79.54, 0.09), (94.16, 0.59), (64.33, 0.33), (80.46, 0.07), (79.78, 0.76), (66.77, 0.12)]
    found = average([of_spread(*one) for one in row])
    assert found.mean == pytest.approx(77.51, abs=0.005)
    assert found.deviation == pytest.approx(0.33, abs=0.005)


def test_one_seed_has_no_deviation() -> None:
    assert average([[0.5], [0.7, 0.8]]).deviation is None


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_the_catalog_has_every_task_and_scores_it_so(suite) -> None:  # type: ignore[no-untyped-def]
    for name, metric in suite.metrics.items():
        assert Task.load(name).metric == metric
