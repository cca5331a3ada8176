"""What the playground says is what each prompt says alone, in its own words and in others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import softprompt as sp
import softprompt.studio.loaded as loading
from softprompt.backbones.load import load_backbone
from softprompt.errors import SoftPromptError
from softprompt.methods import LoRA
from softprompt.studio.asking import Playground, Said
from softprompt.studio.places import NotThere, Root
from softprompt.studio.questions import Question
from softprompt.tasks import Task
from softprompt.training.run import train

from ..shared.studios import going, trained

TEXT = {"text": "w20 w41 w42"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("asked"))


@pytest.fixture
def playground(runs: Path) -> Playground:
    return Playground(Root(runs))


def alone(runs: Path, name: str, template: str | None = None) -> dict[str, float]:
    """The probabilities that a freshly loaded prompt gives."""
    prompt = sp.load(runs / name, load_backbone(str(runs.parent / "made" / "llama")))
    assert prompt.task is not None
    text = TEXT["text"]
    if template is None:
        return prompt.predict([text], returns="probabilities")[0]
    around = template.removesuffix(" {mask}").format(text=text)  # as text in the prompt's own template
    return prompt.predict([around], returns="probabilities")[0]


def chances(said: Said) -> dict[str, float]:
    assert said.answer is not None
    return {label: pytest.approx(chance, abs=1e-5) for label, chance in said.answer.probabilities.items()}


def test_prompts_beside_one_another_say_what_each_says_alone(runs: Path, playground: Playground) -> None:
    said = playground.ask([Question("a", TEXT), Question("table/b", TEXT)])
    assert [one.name for one in said] == ["a", "table/b"]
    for one in said:
        assert alone(runs, one.name) == chances(one)
        assert (one.fault, one.template, one.own) == ("", "{text} {mask}", "{text} {mask}")
    assert chances(said[0]) != said[1].answer.probabilities  # type: ignore[union-attr]  # there is one


def test_prompts_that_change_weights_are_asked_beside_others(runs: Path, playground: Playground) -> None:
    words = Task.load(str(runs.parent / "made" / "task.yaml"), runs.parent / "made" / "rows.jsonl")
    backbone = load_backbone(str(runs.parent / "made" / "llama"))
    for name, rank in (("lora", 2), ("other", 3)):
        quick: dict[str, Any] = {"max_steps": 2, "learning_rate": 0.1, "progress": False}
        train(backbone, words, LoRA(rank=rank), output=runs / name, seed=1, **quick)
    names = ("lora", "a", "other", "table/b")
    said = playground.ask([Question(name, TEXT) for name in names])
    assert [one.name for one in said] == [*names]
    for one in said:
        assert (one.fault, alone(runs, one.name)) == ("", chances(one))


def test_prompts_of_one_backbone_share_one_pass(playground: Playground) -> None:
    questions = [Question("a", TEXT, "w70 {text} {mask}"), Question("table/b", TEXT)]
    playground.ask(questions)
    (backbone,) = playground._loaded._backbones.values()
    passes: list[tuple[int, int]] = []
    layer = backbone.model.model.layers[0]
    handle = layer.register_forward_hook(lambda _, given, out: passes.append(tuple(given[0].shape[:2])))
    playground.ask(questions)
    handle.remove()
    # Of one prompt two virtual tokens and a sentence in two templates, of the other one in front of the sentence.
    assert passes == [(1, (2 + 4 + 3) + (1 + 3))]


def test_more_prompts_than_stay_loaded_are_loaded_once_a_question(
    playground: Playground, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(loading, "_PROMPTS", 1)
    monkeypatch.setattr(loading, "load", lambda folder, own: loaded.append(folder.parent.name) or sp.load(folder, own))
    said = playground.ask([Question("a", TEXT), Question("table/b", TEXT)])
    assert all(one.answer is not None for one in said)
    assert loaded == ["a", "b"]


def test_other_words_around_the_text_are_answered_beside_its_own(runs: Path, playground: Playground) -> None:
    other = "w70 w71 {text} w72 {mask}"
    (said,) = playground.ask([Question("a", TEXT, other)])
    assert alone(runs, "a", other) == chances(said)
    assert said.before is not None
    assert said.before.probabilities == {
        label: pytest.approx(chance, abs=1e-5) for label, chance in alone(runs, "a").items()
    }
    assert (said.template, said.own) == (other, "{text} {mask}")


def test_a_fault_stands_in_its_place(runs: Path, playground: Playground) -> None:
    going(runs / "unfinished", [], 1)
    said = playground.ask(
        [
            Question("unfinished", TEXT),
            Question("a", TEXT),
            Question("a", {}),
            Question("table/b", TEXT, "{nothing} {mask}"),
            Question("../made", TEXT),
        ]
    )
    assert "not finished" in said[0].fault
    assert said[1].answer is not None
    assert "fill in text" in said[2].fault
    assert "nothing" in said[3].fault
    assert "no such folder" in said[4].fault


def test_words_and_anchors_are_shown(playground: Playground) -> None:
    titles = [part.title for run in playground.words("a") for part in run if part.kind == "figure"]
    assert "Nearest words" in titles
    figures = [part for run in playground.anchors(Question("table/b", TEXT)) for part in run]
    assert [one.kind for one in figures] == ["figure", "figure"]
    with pytest.raises(SoftPromptError, match="fill in text"):
        playground.anchors(Question("a", {}))
    with pytest.raises(NotThere):
        playground.words("no")
