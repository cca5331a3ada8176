"""A prompt before its first step: what a training would begin with, scored as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import softprompt as sp
from softprompt.errors import SoftPromptError
from softprompt.methods.registry import METHODS
from softprompt.methods.registry import method as method_of
from softprompt.training.untrained import is_drawn, untrained

from ..shared import runs
from ..shared.models import model, tokenizer
from ..shared.tables import told

FAMILIES = ("llama", "bert", "t5")
UNTOLD = {"autoprompt", "head_only", "p_tuning_v2", "spt", "xprompt"}
FIGURES = ("accuracy", "loss", "rows", "interval")


def begun(task: sp.Task, family: str, method: Any, **options: Any) -> sp.Prompt:
    return untrained(model(family), tokenizer(), task, method, seed=3, **options)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_hard_prompt_scores_as_the_run_that_trains_nothing(family: str, tmp_path: Path) -> None:
    """The same figures, to the last bit, without a training row."""
    task = runs.task(tmp_path / "data")
    run = runs.run(tmp_path, family, "hard_prompt")
    found = sp.evaluate(begun(task, family, "hard_prompt"), task.splits(3).test)
    assert {name: found[name] for name in FIGURES} == {name: run.metrics["test"][name] for name in FIGURES}
    assert found["seen_rows"] == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_capt_at_zeros_scores_as_the_trained_path_does_before_it_has_moved(family: str, tmp_path: Path) -> None:
    """Insta-only-1, table S4. A step at a rate of 1e-30 leaves every state and so every figure what it was."""
    task = runs.task(tmp_path / "data")
    words = "mask" if family == "bert" else "text"  # trained, a head is the default on Llama
    run = runs.run(tmp_path, family, "capt", learning_rate=1e-30, max_steps=1, evaluations=1, readout=words)
    prompt = begun(task, family, "capt")
    found = sp.evaluate(prompt, task.splits(3).test)
    assert {name: found[name] for name in FIGURES} == {name: run.metrics["test"][name] for name in FIGURES}
    assert not is_drawn(prompt)
    other = sp.evaluate(begun(task, family, "hard_prompt"), task.splits(3).test)
    assert found["loss"] != other["loss"]  # the mean of the instance is felt


@pytest.mark.parametrize("family", FAMILIES)
def test_soft_words_start_at_the_words_themselves(family: str, tmp_path: Path) -> None:
    task = runs.task(tmp_path / "data", template="{text} w9 {mask}")
    rows = task.splits(3).test
    soft, hard = (sp.evaluate(begun(task, family, name), rows) for name in ("soft_words", "hard_prompt"))
    assert soft["loss"] == pytest.approx(hard["loss"], abs=1e-5)
    assert soft["accuracy"] == hard["accuracy"]


def test_a_hard_prompt_is_the_models_own_next_word(tmp_path: Path) -> None:
    """Re-derived: log-probabilities of the two words behind the text, over these two."""
    rows = runs.task(tmp_path / "data").splits(3).test
    task = sp.Task(template="{text} w9 {mask}", labels={"0": "w10", "1": "w11"})
    chances = begun(task, "llama", "hard_prompt").predict([row.fields for row in rows], returns="probabilities")
    words, plain = tokenizer().convert_tokens_to_ids(["w10", "w11"]), model("llama")
    for row, chance in zip(rows, chances, strict=True):
        ids = tokenizer()(f"{row.fields['text']} w9", return_tensors="pt")["input_ids"]
        if ids[0, -1] == tokenizer().eos_token_id:
            ids = ids[:, :-1]
        with torch.no_grad():
            expected = plain(ids).logits[0, -1, words].log_softmax(-1).exp()
        assert torch.allclose(torch.tensor([chance["0"], chance["1"]]), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("method", "drawn"),
    [
        ("hard_prompt", False),
        (sp.CaPT(), False),
        (sp.CaPT(init_std=0.1), True),
        (sp.PromptTuning(num_virtual_tokens=2, init="random_uniform"), True),
        (sp.PTuning(num_virtual_tokens=2), True),
    ],
)
def test_values_that_are_drawn_are_known(method: Any, drawn: bool, tmp_path: Path) -> None:
    task = runs.task(tmp_path / "data")
    prompt = begun(task, "llama", method)
    assert is_drawn(prompt) == drawn
    same, other = begun(task, "llama", method), untrained(model("llama"), tokenizer(), task, method, seed=4)
    first = prompt.producer.stored()
    assert all(torch.equal(value, same.producer.stored()[name]) for name, value in first.items())
    assert drawn == any(not torch.equal(value, other.producer.stored()[name]) for name, value in first.items())


@pytest.mark.parametrize(
    ("method", "options", "parts"),
    [
        (sp.HardPrompt(calibration="median"), {}, ("'hard_prompt'", "calibrat", "train it")),
        (sp.HardPrompt(templates=("w9 {text} {mask}",)), {}, ("templates",)),
        (sp.CaPT(select="learned:1"), {}, ("'capt'", "searches before it trains")),
        ("autoprompt", {}, ("'autoprompt'", "searches before it trains")),
        ("xprompt", {}, ("'xprompt'",)),
        ("capt", {"readout": "head"}, ("linear head", "nothing has trained", "language-model head")),
        ("head_only", {}, ("linear head",)),
        ("capt", {"init_from": "runs/other"}, ("init_from", "evaluate that one")),
        ("capts", {}, ("did you mean 'capt'?",)),
    ],
)
def test_what_has_no_answer_before_a_training_is_refused(
    method: Any, options: dict[str, Any], parts: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(SoftPromptError) as error:
        begun(runs.task(tmp_path / "data"), "llama", method, **options)
    told(error, *parts)


@pytest.mark.parametrize("name", sorted({*METHODS.all(installed=False)} - UNTOLD))
def test_every_method_is_asked_before_its_training(name: str, tmp_path: Path) -> None:
    task = runs.task(tmp_path / "data")
    prompt = begun(task, "bert", method_of(name))
    found = sp.evaluate(prompt, task.splits(3).test)
    assert found["loss"] is not None
    assert isinstance(is_drawn(prompt), bool)


@pytest.mark.parametrize("name", sorted(UNTOLD))
def test_the_others_are_refused(name: str, tmp_path: Path) -> None:
    """They search first, or have a linear head on encoders."""
    with pytest.raises(SoftPromptError) as error:
        begun(runs.task(tmp_path / "data"), "bert", method_of(name))
    told(error, repr(name), "train it")


def test_it_is_kept_and_read_as_any_prompt(tmp_path: Path) -> None:
    task = runs.task(tmp_path / "data")
    rows = task.splits(3).test
    prompt = begun(task, "llama", "capt")
    again = sp.load(sp.save(prompt, tmp_path / "kept"), model("llama"), tokenizer())
    assert sp.evaluate(again, rows) == sp.evaluate(prompt, rows)
