"""What stays in memory is bounded, whoever was asked least lately goes first, and what goes is gone."""

from __future__ import annotations

import shutil
import weakref
from pathlib import Path
from typing import Any

import pytest

import softprompt.studio.loaded as loading
from softprompt.backbones.load import load_backbone
from softprompt.methods import PromptTuning
from softprompt.studio.asking import Playground
from softprompt.studio.places import Root
from softprompt.studio.questions import Question
from softprompt.tasks import Task
from softprompt.training.run import train

from ..shared.tables_of_runs import bench

TEXT = {"text": "w20 w41 w42"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs `a`, `b` and `c` over backbones of the same names, and `again` over that of `a`."""
    folder = tmp_path_factory.mktemp("loaded")
    made = bench(folder / "made")
    words = Task.load(str(made.folder / "task.yaml"), made.folder / "rows.jsonl")
    quick: dict[str, Any] = {"max_steps": 1, "evaluations": 1, "batch_size": 4, "progress": False}
    for name in "abc":
        shutil.copytree(made.folder / "llama", folder / "models" / name)
    for run in ("a", "b", "c", "again"):
        backbone = load_backbone(str(folder / "models" / run[0]))
        train(backbone, words, PromptTuning(num_virtual_tokens=2), output=folder / "runs" / run, seed=1, **quick)
    return folder / "runs"


@pytest.fixture
def living(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """The models that were loaded, by their names, for as long as they are in memory."""
    found: dict[str, list[Any]] = {}

    def load(name: str) -> Any:
        there = [one for each in found.values() for one in each if one() is not None]
        assert len(there) < 2, "a third was loaded while two were in memory"
        made = load_backbone(name)
        found.setdefault(Path(name).name, []).append(weakref.ref(made.model))
        return made

    monkeypatch.setattr(loading, "load_backbone", load)
    return found


def there(living: dict[str, list[Any]]) -> set[str]:
    return {name for name, each in living.items() if any(one() is not None for one in each)}


def test_few_backbones_stay_and_who_was_asked_least_lately_is_gone(runs: Path, living: dict[str, list[Any]]) -> None:
    playground = Playground(Root(runs))
    for name, stays in (("a", "a"), ("b", "ab"), ("again", "ab"), ("c", "ac"), ("a", "ac"), ("b", "ab")):
        (said,) = playground.ask([Question(name, TEXT)])
        assert said.answer is not None, said.fault
        assert there(living) == set(stays)
    assert {name: len(each) for name, each in living.items()} == {"a": 1, "b": 2, "c": 1}
    assert {kept.backbone[-1] for kept in playground._loaded._prompts.values()} == {"a", "b"}


def test_one_question_to_many_backbones_has_few_of_them_at_a_time(runs: Path, living: dict[str, list[Any]]) -> None:
    playground = Playground(Root(runs))
    names = ("a", "b", "nobody", "c", "again")
    for _ in range(2):
        said = playground.ask([Question(name, TEXT) for name in names])
        assert [one.name for one in said] == list(names)
        assert [one.answer is not None for one in said] == [True, True, False, True, True]
        assert len(there(living)) == 2
    loads = sum(map(len, living.values()))
    assert loads == 4  # those that are there are asked first


def test_prompts_go_by_when_they_were_asked(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    playground = Playground(Root(runs))
    monkeypatch.setattr(loading, "_PROMPTS", 2)
    for name in ("a", "again", "a", "b"):
        playground.ask([Question(name, TEXT)])
    assert [folder.parent.name for folder in playground._loaded._prompts] == ["a", "b"]


def test_what_the_accelerator_keeps_is_given_back(
    runs: Path, living: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, name = Playground(Root(runs))._loaded, str(runs.parent / "models" / "a")
    loaded._backbone(name)
    assert there(living) == {"a"}
    freed: list[set[str]] = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: freed.append(there(living)))
    loaded._let_go(name)
    assert freed == [set()]  # once what was there is gone
