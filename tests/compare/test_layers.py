"""Arms of layers compared: stopped and gone on with, and what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import softprompt as sp
from softprompt.errors import Interrupted

from ..shared.models import LAYERS, model, tokenizer
from ..shared.runs import QUICK, Interrupting
from ..shared.runs import task as words_task


def select(folder: Path, progress: Any = False, **options: Any) -> dict[str, Any]:
    rows = words_task(folder / "data")
    given = {"keep": 1, "arms": ("learned", "last"), "seeds": (3,), **QUICK, **options}
    return sp.select_layers(
        model("bert"), tokenizer(), rows, "p_tuning_v2", output=folder / "runs", progress=progress, **given
    )


def test_a_stop_says_how_to_go_on_and_the_same_call_does(tmp_path: Path) -> None:
    straight = select(tmp_path / "straight")
    with pytest.raises(Interrupted, match=r"stopped in learned:1, seed 3: 0 of 2 runs .* the same again"):
        select(tmp_path / "stopped", Interrupting(3))
    resumed = select(tmp_path / "stopped")
    figures = ("mean", "share", "trained_parameters", "stored_parameters")
    assert [[arm[name] for name in figures] for arm in resumed["arms"]] == [
        [arm[name] for name in figures] for arm in straight["arms"]
    ]
    assert resumed["gates"] == straight["gates"]


def test_a_stop_between_runs_is_told_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("softprompt.training.run.train", stopped)
    with pytest.raises(Interrupted, match=r"0 of 2 runs are finished"):
        select(tmp_path)


def test_what_is_kept_by_default(tmp_path: Path) -> None:
    from softprompt.compare.layers import selections
    from softprompt.methods.parts.layers import usual

    assert [usual(layers) for layers in (1, 3, 6, 12, 18, 24)] == [1, 1, 3, 6, 8, 8]
    assert list(selections(["learned", "learned:2", "first", "all", "odd"], 2, LAYERS)) == [
        "learned:2",
        "first:2",
        "all",
        "odd",
    ]
    found = select(tmp_path, keep=None, arms=("first", "last"))
    assert (found["keep"], found["reference"], found["gates"]) == (1, "first:1", {})
    assert [arm["share"] for arm in found["arms"]] == [[1, 0, 0], [0, 0, 1]]
    with pytest.raises(sp.SoftPromptError, match="no seeds"):
        select(tmp_path, seeds=())
    with pytest.raises(sp.SoftPromptError, match="holds a run with another training_options"):
        select(tmp_path, arms=("first",), max_steps=5)
