"""The tables and the pictures of the benchmarks of layers, from figures that are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from softprompt.methods import method

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


SHARE = {"backbone_parameters": 234_600, "percent": 0.5, "percent_without_head": 0.12}


def row(arm: str, seed: int, value: float, kept: list[int] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "task": "words & more",
        "backbone": "embedded:tiny",
        "arm": arm,
        "seed": seed,
        "metric": "accuracy",
        "test": {"accuracy": value, "interval": [value - 0.1, value + 0.1], "rows": 8},
        "trained_parameters": 1234,
        "tunable": None if arm == "head_only" else {**SHARE, "percent": 0.526},
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
    assert lines[4] == "| head_only | 0.950 |  | 13: 0.950 | +0.150 |  |  |  |  | 1,234 |  | 1,200 | 10 |"
    means, cost = "| spt learned:1 | 0.850 | 0.071 | 13: 0.800, 21: 0.900 |", "1,234 | 0.53 (0.12) | 1,200 | 10 |"
    assert lines[5] == f"{means}  |  |  |  | ·▅▅ | {cost}"
    assert lines[6].startswith(
        "| spt random:1 | 0.725 | 0.035 | 13: 0.700, 21: 0.750 | -0.125 | -0.443 to +0.193 | 0.126 |"
    )
    assert lines[8:15] == [
        "| spt learned:1 | 0 | 1 | 2 |",
        "|---|---|---|---|",
        "| seed 13 | · | · | ● |",
        "| seed 21 | · | ● | · |",
        "| gates, mean | 0.25 | 0.60 | 0.70 |",
        "",
        "## Over all tables",
    ]
    assert lines[17:] == [
        "|---|---|---|---|---|",
        "| head_only |  |  |  |  |",
        "| spt learned | 0.850 ± 0.071 |  |  |  |",
        "| spt random | 0.725 ± 0.035 | +0.125 (-0.193 to +0.443) | 2 | 0.13 |",
    ]


def test_the_default_pair_of_networks_is_what_the_arms_are_compared_with(spt: Any) -> None:
    better = row("spt learned:1 network", 13, 0.99, [0])
    assert spt.compared({"spt learned:1 network": [better], "spt learned:1": [ROWS[0]]})["reference"] == "spt learned:1"
    assert spt.compared({"head_only": [ROWS[4]], "capt": [row("capt", 13, 0.97)]})["reference"] == "capt"


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


@pytest.fixture
def subsets(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import subsets

    return subsets


def test_the_analysis_of_variance(subsets: Any) -> None:
    # y = 10 + choice + seed + rest, with choice (-2, 0, 2), seed (-1, 1) and a rest that sums to nothing both ways.
    rest = np.array([[0.5, -0.5], [-1.0, 1.0], [0.5, -0.5]])
    grid = 10 + np.array([[-2.0], [0.0], [2.0]]) + np.array([[-1.0, 1.0]]) + rest
    found = subsets.variance(grid)
    between, left = 2 * 8 / 2, (rest**2).sum() / 2
    assert found["mean"] == pytest.approx(10)
    assert found["f"] == pytest.approx(between / left)
    assert found["p"] == pytest.approx(1 / (1 + between / left))  # the tail of F with 2 and 2 degrees of freedom
    assert found["choice"] == pytest.approx(((between - left) / 2) ** 0.5)
    assert found["rest"] == pytest.approx(left**0.5)
    assert found["expected"] == pytest.approx(2 * (1 - left / between))


def test_choices_that_differ_by_chance_alone_promise_little(subsets: Any) -> None:
    found = subsets.variance(np.random.default_rng(0).normal(size=(20, 5)))
    assert found["p"] > 0.01
    assert found["expected"] < 0.6 * found["gain"]


def test_the_tables_of_all_choices(subsets: Any, tmp_path: Path) -> None:
    figures = {
        ("0,1", 13): 0.6,
        ("0,2", 13): 0.8,
        ("1,2", 13): 0.7,
        ("0,1", 21): 0.5,
        ("0,2", 21): 0.5,
        ("1,2", 21): 0.8,
    }
    rows = [row("", seed, value, layers_kept=name) for (name, seed), value in figures.items()]
    half = row("", 13, 0.99, layers_kept="2,3")  # not there at every seed, so left out
    searched = [row("spt learned:2", 13, 0.8, [0, 2]), row("spt random:2", 13, 0.8, [1, 2])]
    subsets.write([*rows, half], searched, tmp_path / "subsets.json")
    lines = (tmp_path / "subsets.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "## words & more, embedded:tiny: 3 choices, 8 test rows"
    assert lines[4:7] == [
        "| 1,2 | 0.750 | 0.700 | 0.800 |",
        "| 0,2 | 0.650 | 0.800 | 0.500 |",
        "| 0,1 | 0.550 | 0.600 | 0.500 |",
    ]
    assert lines[8].startswith("Mean of all choices 0.650. Choices: F = ")
    assert lines[12] == "| 0 | -0.150 | +0.000 | -0.300 |"  # mean of .6 and .8 less .7; of .5 and .5 less .8
    assert lines[-1] == "| 13 | 0,2 | 0.800 | 1 | +0.100 | -0.100 |"


@pytest.fixture
def against(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import against

    return against


def test_bytes_of_a_kind_are_those_of_its_run(against: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from .fixtures import kinds

    capt = {"capt": kinds.PROMPTS["capt"]}
    monkeypatch.chdir(tmp_path)  # and back: the sides work in folders of their own
    found = []
    for seed, folder in ((3, "a"), (3, "b"), (4, "c")):
        monkeypatch.setattr(
            kinds, "PROMPTS", {name: made._replace(training={"seed": seed}) for name, made in capt.items()}
        )
        monkeypatch.setattr(kinds, "STOPPED", {})
        found.append(against.bytes_of_kinds(tmp_path / folder))
    assert list(found[0]) == ["two steps of capt"]
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_methods_without_a_rate_are_run_without_one(
    against: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from .fixtures import kinds

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(kinds, "STOPPED", {})
    monkeypatch.setattr(kinds, "PROMPTS", {name: kinds.PROMPTS[name] for name in ("head_only", "autoprompt")})
    assert list(against.bytes_of_kinds(tmp_path)) == ["two steps of head_only", "two steps of autoprompt"]


def test_a_run_that_keeps_its_start_is_told_apart_by_its_losses(
    against: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps make this one no better, and so the stored bytes are the same wherever its head reads."""
    from .fixtures import kinds

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(kinds, "STOPPED", {})
    made, found = kinds.PROMPTS["p_tuning_v2_head"], {}
    for place in ("first", "mean"):
        monkeypatch.setattr(kinds, "PROMPTS", {"head": made._replace(training={"pooling": place})})
        found[place] = against.bytes_of_kinds(tmp_path / place)
    stored = [(tmp_path / place / "runs/two steps of head/prompt/prompt.safetensors").read_bytes() for place in found]
    assert stored[0] == stored[1]
    assert found["first"] != found["mean"]


@pytest.mark.parametrize(
    ("other", "code", "told"), [("1", 0, "2 of 2 alike"), ("2", 1, "other bytes: b\n1 of 2 alike")]
)
def test_bytes_that_differ_are_named(
    other: str, code: int, told: str, against: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    class Side:
        """What a side prints, which PYTHONPATH tells from the other."""

        returncode = 0

        def __init__(self, command: list[str], env: dict[str, str], **_: Any) -> None:
            self.number = other if "elsewhere" in env["PYTHONPATH"] else "1"

        def communicate(self) -> tuple[str, None]:
            return json.dumps({"a": "1", "b": self.number}) + "\n", None

    monkeypatch.setattr(against.subprocess, "Popen", Side)
    with pytest.raises(SystemExit) as stop:
        against.quick(Path("elsewhere"))
    assert stop.value.code == code
    assert capsys.readouterr().out == f"{told}\n"


def tried(rate: float, task: str, seed: int, value: float, loss: float) -> dict[str, Any]:
    validation = {"accuracy": value, "loss": loss}
    own = {"backbone": "tiny", "arm": "capt", "metric": "accuracy", "validation": validation}
    return {**own, "rate": rate, "task": task, "seed": seed}


def test_a_rate_is_chosen_on_validation_rows_and_an_end_of_the_grid_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import rates

    rows = [
        tried(rate, task, 13, value, loss)
        for rate, values, loss in ((0.01, (0.5, 0.7), 0.4), (0.1, (0.7, 0.8), 0.5), (0.3, (0.8, 0.7), 0.3))
        for task, value in zip(("sst2", "trec"), values, strict=True)
    ]
    assert rates.chosen(rows) == 0.3  # as good as 0.1, at a lower loss
    assert rates.chosen([*rows, tried(0.5, "sst2", 13, 1.0, 0.1)]) == 0.3  # 0.5 lacks a run
    assert rates.chosen([]) is None
    lines = rates.tables(rows).splitlines()
    assert lines[0] == "## tiny, validation rows"
    assert lines[2].count("|") == lines[3].count("|") == lines[-1].count("|")
    assert lines[4:] == [
        "| capt | 0.01 | 0.500 | 0.700 | 0.600 | 0.400 | 2 |",
        "| capt | 0.1 | 0.700 | 0.800 | 0.750 | 0.500 | 2 |",
        "| capt | **0.3** (best, at an end of the grid) | 0.800 | 0.700 | 0.750 | 0.300 | 2 |",
    ]


def test_the_grid_of_a_method_holds_its_recipes_own_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import rates

    for arm, grid in {**rates.FIRST, **rates.THEN}.items():
        assert method(arm.split()[0]).recipe("bert", "encoder").learning_rate in grid, arm


def searched(strategy: str, folds: int, scores: list[float], tested: float, taken: int, **more: Any) -> dict[str, Any]:
    trials = [{"values": {}, "scores": [score], "curves": [], "seconds": 2.0} for score in scores]
    best = scores.index(max(scores))
    own = {"method": "head_only", "task": "sst2", "draw": 13, "strategy": strategy, "folds": folds, "error": 0.1}
    test = {"default": [0.5, 0.7], "best": [tested, tested]}
    return {
        **own,
        "trials": trials,
        "best": best,
        "taken": taken,
        "gain": scores[best] - scores[0],
        "test": test,
        **more,
    }


def test_what_a_search_promises_stands_beside_what_the_test_rows_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import search

    rows = [
        searched(search.SEARCH, 1, [0.7, 0.9], 0.65, taken=0),
        searched(search.GRID, 1, [0.7, 0.8], 0.75, taken=1),
        searched(search.SEARCH, 1, [0.6, 0.7], 0.6, taken=1, draw=21),
    ]
    strategies = search.of_strategies(rows).splitlines()
    assert strategies[2:] == [
        "| head_only, sst2, 13 | validation rows | 0.600 | 0.650 | 0.600 | 0.750 | 0.750 |",
        "| head_only, sst2, 21 | validation rows | 0.600 | 0.600 | 0.600 |  |  |",
    ]
    promises = search.of_promises(rows).splitlines()
    assert promises[2:] == ["| head_only | validation rows | 2 | 0.800 | 0.625 | +0.150 | +0.025 |"]


def test_halving_loses_a_winner_whose_curve_rises_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import halving

    def tried(early: float, late: float) -> Any:
        return halving.Tried([[0.0, 0.0, 0.0, early, *[late] * 5]], [late], 8.0)

    early_riser = halving.Set("planted", [tried(0.5, 0.5), tried(0.75, 0.75), tried(0.25, 0.5)], True)
    assert halving.replayed(early_riser, halving.by_curves(1 / 3, 2)) == [
        {"lost": False, "by": 0.0, "saved": pytest.approx(5 / 24), "cut": pytest.approx(1 / 3)}
    ]
    late_riser = halving.Set("planted", [*early_riser.trials[:2], tried(0.25, 1.0)], True)
    assert halving.replayed(late_riser, halving.by_curves(1 / 3, 2))[0]["lost"]
    folds = [halving.Tried([], scores, 4.0) for scores in ([0.5] * 4, [0.25, 0.25, 1.0, 1.0])]
    assert halving.by_folds(2, 2)(folds) == [1.0, 0.5]


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import cells

    return cells


def test_cells_are_kept_and_lie_there_again(tmp_path: Path, cells: Any) -> None:
    for number, name in enumerate(("one", "two")):
        (tmp_path / "runs" / "cells" / name).mkdir(parents=True)
        for file in (*cells.FILES, "prompt.safetensors"):
            (tmp_path / "runs" / "cells" / name / file).write_text(f"{number} {file}")
    (tmp_path / "runs" / "cells" / "begun").mkdir()
    (tmp_path / "runs" / "cells" / "begun" / "run.json").write_text("{}")
    archive = tmp_path / "kept.tar.xz"
    cells.write(cells.kept(archive) | cells.finished([tmp_path / "runs"]), archive)
    first = archive.read_bytes()
    cells.write(cells.kept(archive) | cells.finished([tmp_path / "runs" / "cells" / "two"]), archive)
    assert archive.read_bytes() == first
    assert cells.unpack(archive, tmp_path / "again") == 2
    found = sorted(str(path.relative_to(tmp_path / "again")) for path in (tmp_path / "again").rglob("*.*"))
    assert found == [f"{name}/{file}" for name in ("one", "two") for file in sorted(cells.FILES)]
    assert (tmp_path / "again" / "two" / "metrics.json").read_text() == "1 metrics.json"


def test_two_runs_of_one_name_are_not_mixed(tmp_path: Path, cells: Any) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder / "cell").mkdir(parents=True)
        (tmp_path / folder / "cell" / "metrics.json").write_text(folder)
    with pytest.raises(SystemExit, match="another run of this name"):
        cells.finished([tmp_path / "one", tmp_path / "two"])
