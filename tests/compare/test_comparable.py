"""Nothing is averaged that was asked other things."""

from __future__ import annotations

from pathlib import Path

from softprompt.compare.comparable import Column, columns_of
from softprompt.compare.gathering import LeftOut, gather

from ..shared.run_folders import cell


def columns(folder: Path, metric: str | None = None) -> tuple[list[Column], list[LeftOut]]:
    return columns_of(gather([folder]).finished, metric)


def seeds(column: Column) -> list[tuple[str, int]]:
    return [(run.record.method, run.record.seed) for run in column.runs]


def test_a_run_with_other_test_rows_is_told_and_stands_in_no_column(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        cell(tmp_path / f"a{seed}", "capt", seed)
    cell(tmp_path / "other", "lora", 1, asked="b")
    (column,), (left,) = columns(tmp_path)
    assert seeds(column) == [("capt", 1), ("capt", 2), ("capt", 3)]
    assert column.one_test
    assert left.folder.name == "other"
    assert left.reason == "its 4 test rows are others than the 4 of the runs beside it (words, seed 1)"


def test_seeds_may_have_test_rows_of_their_own_where_methods_share_them(tmp_path: Path) -> None:
    for method in ("capt", "lora"):
        for seed in (1, 2):
            cell(tmp_path / f"{method}{seed}", method, seed, asked=f"of {seed}")
    cell(tmp_path / "odd", "lpt", 2, asked="odd")
    (column,), (left,) = columns(tmp_path)
    assert not column.one_test
    assert seeds(column) == [("capt", 1), ("lora", 1), ("capt", 2), ("lora", 2)]
    assert left.folder.name == "odd"


def test_test_rows_in_another_order_are_no_pairs(tmp_path: Path) -> None:
    cell(tmp_path / "a", "capt", 1)
    cell(tmp_path / "b", "lora", 1)
    rows = {"count": 4, "block": 1, "texts": ["a", "x"] * 2, "labels": ["l"] * 4, "unordered": "a"}
    cell(tmp_path / "c", "lpt", 1, identity={"rows": {"train": {"count": 32}, "test": rows}})
    assert [one.folder.name for one in columns(tmp_path)[1]] == ["c"]


def test_shots_and_sizes_are_columns_of_their_own(tmp_path: Path) -> None:
    cell(tmp_path / "a", seed=1, identity={"shots": 16})
    cell(tmp_path / "b", seed=1, identity={"shots": 4})
    cell(tmp_path / "c", seed=1)
    for name, count in (("d", 1000), ("e", 1050)):
        rows = {"train": {"count": count}, "test": {"count": 4, "texts": ["a"] * 4, "labels": ["l"] * 4}}
        cell(tmp_path / name, seed=count, identity={"rows": rows})
    found, left = columns(tmp_path)
    assert [column.label for column in found] == [
        "words, 32 rows",
        "words, 1000 rows",
        "words, 4 shots",
        "words, 16 shots",
    ]
    assert [len(column.runs) for column in found] == [1, 2, 1, 1]
    assert left == []


def test_backbones_are_told_by_their_fingerprints(tmp_path: Path) -> None:
    cell(tmp_path / "a", seed=1)
    cell(tmp_path / "b", seed=2, identity={"fingerprint": {"weights": "9999aaaa", "head": "3333"}})
    cell(tmp_path / "c", seed=3, backbone="renamed", identity={"fingerprint": {"weights": "9999aaaa", "head": "3333"}})
    found, _ = columns(tmp_path)
    assert sorted(len(column.runs) for column in found) == [1, 2]
    cell(tmp_path / "d", seed=1, dtype="bfloat16")
    names = sorted({column.backbone for column in columns(tmp_path)[0]})
    assert names == ["renamed", "tiny (bfloat16)", "tiny (float32)"]


def test_one_name_of_two_models_is_told_apart(tmp_path: Path) -> None:
    cell(tmp_path / "a", seed=1)
    cell(tmp_path / "b", seed=2, identity={"fingerprint": {"weights": "9999aaaa", "head": "3333"}})
    assert {column.backbone for column in columns(tmp_path)[0]} == {"tiny (11112222)", "tiny (9999aaaa)"}


def test_another_metric_is_asked_of_all_or_told(tmp_path: Path) -> None:
    cell(tmp_path / "a", seed=1)
    (column,), left = columns(tmp_path, "macro_f1")
    assert (column.metric, left) == ("macro_f1", [])
    none, left = columns(tmp_path, "bleu")
    assert none == []
    assert left[0].reason == "no bleu among its metrics (accuracy, macro_f1)"


def test_a_main_metric_of_few_is_told(tmp_path: Path) -> None:
    for seed in (1, 2):
        cell(tmp_path / str(seed), seed=seed)
    cell(tmp_path / "f1", seed=3, metric="macro_f1", predictions=False)
    (column,), (left,) = columns(tmp_path)
    assert column.metric == "accuracy"
    assert left.reason == "its main metric is macro_f1, of others accuracy"


def test_runs_that_recorded_no_rows_are_compared_by_their_number(tmp_path: Path) -> None:
    cell(tmp_path / "a", seed=1, identity={"rows": {}})
    cell(tmp_path / "b", seed=2, identity={"rows": {}})
    cell(tmp_path / "c", seed=2, right=[1, 0, 1], identity={"rows": {}})
    (column,), (left,) = columns(tmp_path)
    assert len(column.runs) == 2
    assert left.folder.name == "c"


def test_two_columns_have_two_labels(tmp_path: Path) -> None:
    """Results are kept by the labels of their columns."""
    for name, shots, count in (("a", 16, 32), ("b", 16, 64), ("c", None, 32), ("d", None, 64)):
        rows = {"train": {"count": count}, "test": {"count": 4, "texts": ["a"] * 4, "labels": ["l"] * 4}}
        cell(tmp_path / name, seed=1, identity={"shots": shots, "rows": rows})
    assert sorted(column.label for column in columns(tmp_path)[0]) == [
        "words, 16 shots, 32 rows",
        "words, 16 shots, 64 rows",
        "words, 32 rows",
        "words, 64 rows",
    ]
