"""The tables and the picture of the benchmark of layers, from figures that are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def row(arm: str, seed: int, value: float, kept: list[int] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "task": "words & more",
        "backbone": "embedded:tiny",
        "arm": arm,
        "seed": seed,
        "metric": "accuracy",
        "test": {"accuracy": value, "interval": [value - 0.1, value + 0.1], "rows": 8},
        "trained_parameters": 1234,
        "stored_parameters": 1200,
        "train_seconds": 10.0,
        "layers": 3,
        "kept_layers": kept,
        "gates": None,
        **more,
    }


ROWS = [
    row("spt learned:1", 13, 0.8, [2], gates=[0.25, 0.5, 0.75]),
    row("spt learned:1", 21, 0.9, [1], gates=[0.25, 0.7, 0.65]),
    row("spt random:1", 13, 0.7, [0]),
    row("spt random:1", 21, 0.75, [0]),
    row("head_only", 13, 0.95),
]


@pytest.fixture
def spt(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import spt

    return spt


def test_the_tables(spt: Any, tmp_path: Path) -> None:
    spt.write(ROWS, tmp_path / "spt.json")
    lines = (tmp_path / "spt.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "## words & more, embedded:tiny"
    assert lines[2].count("|") == lines[3].count("|") == lines[4].count("|")
    assert lines[4] == "| head_only | 0.950 |  | 13: 0.950 | +0.150 |  |  |  |  | 1,234 | 1,200 | 10 |"
    assert lines[5] == "| spt learned:1 | 0.850 | 0.071 | 13: 0.800, 21: 0.900 |  |  |  |  | ·▅▅ | 1,234 | 1,200 | 10 |"
    assert lines[6].startswith(
        "| spt random:1 | 0.725 | 0.035 | 13: 0.700, 21: 0.750 | -0.125 | -0.443 to +0.193 | 0.126 |"
    )
    assert lines[8:] == [
        "| spt learned:1 | 0 | 1 | 2 |",
        "|---|---|---|---|",
        "| seed 13 | · | · | ● |",
        "| seed 21 | · | ● | · |",
        "| gates, mean | 0.25 | 0.60 | 0.70 |",
    ]


def test_the_picture(spt: Any, tmp_path: Path) -> None:
    spt.write(ROWS, tmp_path / "spt.json")
    drawn = ElementTree.fromstring((tmp_path / "spt-words & more-tiny.svg").read_text(encoding="utf-8"))
    name = "{http://www.w3.org/2000/svg}"
    assert len(drawn.findall(f"{name}circle")) == len(ROWS)
    assert sum(one.get("fill") == "#3b6ea5" and one.get("rx") == "3" for one in drawn.findall(f"{name}rect")) == 2
    assert any("words & more" in (one.text or "") for one in drawn.findall(f"{name}text"))


def test_a_row_takes_the_place_of_its_older_self(spt: Any, tmp_path: Path) -> None:
    from _common import keep

    path = tmp_path / "deep" / "rows.json"
    keep(path, row("b", 13, 0.1), spt.KEY)
    keep(path, row("a", 13, 0.2), spt.KEY)
    rows = keep(path, row("b", 13, 0.3), spt.KEY)
    assert [(one["arm"], one["test"]["accuracy"]) for one in rows] == [("a", 0.2), ("b", 0.3)]
    assert json.loads(path.read_text()) == rows
