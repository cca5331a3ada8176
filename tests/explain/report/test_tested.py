"""What a prompt answers: counts, shares and the order of mistakes, for classes, numbers, tags and texts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from softprompt.evaluation.predictions import PREDICTIONS, Predictions
from softprompt.explain.report.judged import Judged, wilson
from softprompt.explain.report.run_files import read_run_files
from softprompt.explain.report.tested import (
    by_label,
    by_length,
    calibrated,
    confusion,
    label_names,
    mistakes,
    recorded,
    scores,
)
from softprompt.pages.parts import Figure, Table

from ...shared.run_folders import cell


def rows(*told: tuple[float, float | None, int]) -> list[Judged]:
    """Score, probability and words of each."""
    return [Judged(n, "", f"text {n}", words, "a", "b", score, p) for n, (score, p, words) in enumerate(told, 1)]


def test_recorded_answers_by_label(tmp_path: Path) -> None:
    files = read_run_files(cell(tmp_path / "run", right=(1, 1, 0, 1, 1, 0)))
    square, labels = recorded(files)
    assert isinstance(square, Figure)
    assert square.table.rows == (("0 (bad)", "2 0.6667", "1 0.3333"), ("1 (good)", "1 0.3333", "2 0.6667"))
    assert isinstance(labels, Figure)
    low, high = wilson(2, 3)
    assert labels.table.rows[0] == ("0 (bad)", "0.6667", f"{low:.4g}", f"{high:.4g}", "3 rows")
    assert labels.table.foot == ("all rows: 0.6667",)
    assert dict(scores(files).pairs)["accuracy"].startswith("0.667 [0.250, 0.750] on 6 held-out rows")


def test_tags_and_numbers_are_shown_as_they_apply(tmp_path: Path) -> None:
    folder = cell(tmp_path / "tags", predictions=False)
    tags = Predictions(kind="tags", labels={"O": "O", "B": "B"}, label=((0, 1), (1,)), prediction=((0, 0), (-1,)))
    tags.write(folder / PREDICTIONS)
    (square,) = recorded(read_run_files(folder))
    assert isinstance(square, Figure)
    assert square.table.rows == (("O", "1", "0"), ("B", "1", "0"))  # a word that was not read counts nowhere
    folder = cell(tmp_path / "numbers", predictions=False)
    Predictions(kind="regression", labels={}, label=(1.0, 2.5), prediction=(1.5, 2.0)).write(folder / PREDICTIONS)
    (plane,) = recorded(read_run_files(folder))
    assert isinstance(plane, Figure)
    assert [row[1:] for row in plane.table.rows] == [("1", "1.5"), ("2.5", "2")]


def test_many_classes_have_the_pairs_that_are_confused() -> None:
    names = [str(place) for place in range(30)]
    pairs = Counter({(0, 0): 3, (0, 1): 7, (2, 1): 1})
    (table,) = confusion(names, pairs, "rows")
    assert isinstance(table, Table)
    assert table.rows[0] == ("0", "1", "7", "70.0%")
    assert by_label(["a", "b"], Counter({(0, 0): 1})).table.rows[1][1] == ""  # a label without rows has no share


def test_the_surest_mistakes_come_first() -> None:
    found = mistakes(rows((0, 0.6, 1), (1, 0.99, 1), (0, 0.9, 1), (0, None, 1)), "classification")
    assert found is not None
    assert [row[0] for row in found.rows] == ["3", "1", "4"]
    assert found.searchable
    assert mistakes(rows((1, 0.9, 1)), "classification") is None
    off = mistakes(rows((0.5, None, 1), (2.0, None, 1), (0, None, 1)), "regression")
    assert off is not None
    assert [row[:2] for row in off.rows] == [("2", "2.000"), ("1", "0.500")]


def test_lengths_and_calibration() -> None:
    told = rows(*((float(n % 2), 0.5 + n / 100, n) for n in range(1, 21)))
    length = by_length(told, "classification")
    assert length is not None
    assert [row[0] for row in length.table.rows] == [
        "1 to 5 words",
        "6 to 10 words",
        "11 to 15 words",
        "16 to 20 words",
    ]
    assert by_length(told[:4], "classification") is None
    curve = calibrated(told)
    assert curve is not None
    assert sum(int(row[1].split()[0]) for row in curve.table.rows) == 20
    assert calibrated(rows((1, None, 1))) is None


def test_labels_are_called_by_value_and_word() -> None:
    assert label_names({"0": "bad", "good": "good"}) == ["0 (bad)", "good"]
