"""Arms of layers compared: stopped and gone on with, what is kept, and what is read once for all of them."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import softprompt as sp
from softprompt.backbones import anatomy, fingerprint
from softprompt.errors import Interrupted, SoftPromptError
from softprompt.training import run

from ..shared.models import LAYERS, model, tokenizer
from ..shared.runs import QUICK, Interrupting, Listening
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


def test_an_arm_that_fails_is_told_at_once_and_the_others_are_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = run.train

    def failing(backbone: Any, task: Any, method: Any, **options: Any) -> Any:
        if str(method.select) == "first:1":
            raise SoftPromptError("this arm cannot be")
        return train(backbone, task, method, **options)

    monkeypatch.setattr("softprompt.training.run.train", failing)
    heard = Listening()
    with pytest.raises(SoftPromptError, match="^this arm cannot be$"):
        select(tmp_path, heard, arms=("first", "last", "all"))
    assert "failed: this arm cannot be" in heard.lines
    assert [(tmp_path / "runs" / f"{arm}-3" / "metrics.json").is_file() for arm in ("first1", "last1", "all")] == [
        False,
        True,
        True,
    ]


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
    with pytest.raises(sp.SoftPromptError, match="select_layers: 13 stands where seeds belong: give a list"):
        select(tmp_path, seeds=13)
    with pytest.raises(sp.SoftPromptError, match="holds a run with another training_options"):
        select(tmp_path, arms=("first",), max_steps=5)


WORDS = ["w20 w41 w42", "w30 w50 w51", "w20 w60", "w30 w61"] * 5


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the structure of a model, each of its weights and each file of rows is read."""
    found: Counter[str] = Counter()
    open_path, read_structure, digest_of = Path.open, anatomy._read, fingerprint._digest_of

    def opened(self: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        found.update([self.name] if self.suffix == ".tsv" and "r" in mode else [])
        return open_path(self, mode, *args, **options)

    def structure(backbone: Any) -> Any:
        found["structure"] += 1
        return read_structure(backbone)

    def hashed(name: str, weight: Any) -> str:
        found[f"weight {name}"] += 1
        return digest_of(name, weight)

    monkeypatch.setattr(Path, "open", opened)
    monkeypatch.setattr(anatomy, "_read", structure)
    monkeypatch.setattr(fingerprint, "_digest_of", hashed)
    return found


def data(folder: Path) -> sp.Task:
    for split in ("train", "dev", "test"):
        lines = ["sentence\tlabel", *(f"{text}\t{index % 2}" for index, text in enumerate(WORDS))]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    task = sp.Task(template="{sentence} {mask}", labels={"0": "w10", "1": "w11"}, metrics=("accuracy",))
    return task.with_data(folder)


@pytest.mark.parametrize("as_value", [False, True], ids=["model, tokenizer", "Backbone"])
def test_two_arms_and_two_seeds_read_everything_once(as_value: bool, read: Counter[str], tmp_path: Path) -> None:
    given = (copy.deepcopy(model("bert")), tokenizer())
    backbone = (sp.Backbone(*given),) if as_value else given
    quick: dict[str, Any] = {"max_steps": 2, "evaluations": 1, "batch_size": 4, "progress": False, "keep": 1}
    task = data(tmp_path)
    found = sp.select_layers(
        *backbone, task, "p_tuning_v2", arms=("learned", "last"), seeds=(1, 2), output=tmp_path / "runs", **quick
    )
    assert [len(arm["runs"]) for arm in found["arms"]] == [2, 2]
    assert read["structure"] == 1
    hashes = {name: count for name, count in read.items() if name.startswith("weight ")}
    assert len(hashes) == len(list(given[0].parameters()))
    assert set(hashes.values()) == {1}
    assert (read["train.tsv"], read["dev.tsv"], read["test.tsv"]) == (1, 1, 1)
