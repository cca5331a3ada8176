"""Ensembles: the members' own answers in one batch, the vote and its ties, the mean probability."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from softprompt.errors import SoftPromptError
from softprompt.evaluation.ensemble import Ensemble
from softprompt.evaluation.score import metrics_of
from softprompt.inference.predict import predict
from softprompt.methods import method as method_of
from softprompt.methods.base import Method
from softprompt.readouts import Outcome
from softprompt.storage.prompt import Prompt

from ..shared.members import GENERATION, few, member
from ..shared.runs import task as words_task


def alone(prompt: Prompt, rows: Any) -> list[Outcome]:
    assert prompt.readout is not None
    with prompt.attach() as prompted:
        return predict(prompted, prompt.readout, rows)


def agree(one: Outcome, other: Outcome) -> None:
    """The same answer up to the rounding of another batch."""
    if isinstance(one.prediction, float):
        assert one.prediction == pytest.approx(other.prediction, abs=1e-4)
    else:
        assert one.prediction == other.prediction
    assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)
    assert one.loss == pytest.approx(other.loss, abs=1e-4)


SHORT, LONG = {"num_virtual_tokens": 2}, {"num_virtual_tokens": 5}
NESTED = {"0": "w10", "1": "w10 w11"}
KINDS: dict[str, tuple[str, list[Method], dict[str, Any], dict[str, Any]]] = {
    "words": ("llama", [method_of("prompt_tuning", **SHORT)] * 3, {}, {}),
    "words of other methods": (
        "llama", [method_of("prompt_tuning", **LONG), method_of("capt"), method_of("p_tuning_v2", **SHORT)], {}, {},
    ),
    "mask": ("bert", [method_of("prompt_tuning", **SHORT), method_of("capt")], {}, {}),
    "heads": ("bert", [method_of("prompt_tuning", **SHORT), method_of("capt")], {}, {"readout": "head"}),
    "candidates": ("t5", [method_of("prompt_tuning", **SHORT), method_of("prompt_tuning", **LONG)], {}, {}),
    "answers with an end": ("llama", [method_of("prompt_tuning", **SHORT), method_of("capt")], {"labels": NESTED}, {}),
    "several masks": ("bert", [method_of("prompt_tuning", **SHORT), method_of("capt")], {"labels": NESTED}, {}),
    "by a character": ("t5", [method_of("capt")] * 2, {"labels": NESTED}, {"scoring": "acc_norm"}),
    "regression": (
        "llama",
        [method_of("prompt_tuning", **SHORT)] * 2,
        {"kind": "regression", "bounds": (0, 1), "metrics": ["pearson"]},
        {},
    ),
    "free text": (
        "llama", [method_of("prompt_tuning", **SHORT)] * 2, GENERATION, {"max_new_tokens": 4},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", list(KINDS))
def test_each_member_answers_as_it_does_alone(kind: str, tmp_path: Path) -> None:
    family, methods, changes, wishes = KINDS[kind]
    task, rows = few(tmp_path, **changes)
    members = [member(task, family, method, seed, **wishes) for seed, method in enumerate(methods)]
    ballots = Ensemble(members).outcomes(rows, batch_size=6)
    for index, one in enumerate(members):
        for found, own in zip(ballots, alone(one, rows), strict=True):
            agree(found.members[index], own)


@pytest.mark.parametrize("kind", list(KINDS))
def test_one_member_and_a_member_with_its_copies_are_the_member(kind: str, tmp_path: Path) -> None:
    family, methods, changes, wishes = KINDS[kind]
    task, rows = few(tmp_path, **changes)
    one = member(task, family, methods[0], 0, **wishes)
    own = alone(one, rows)
    for count in (1, 2, 3):
        for found, single in zip(Ensemble([one] * count).outcomes(rows), own, strict=True):
            agree(found, single)
            assert found.by_mean == pytest.approx(found.prediction) if isinstance(found.by_mean, float) else True
    if not changes:
        other = member(task, family, methods[0], 9, **wishes)
        for found, single in zip(Ensemble([one, other, one]).outcomes(rows), own, strict=True):
            assert found.prediction == single.prediction


def test_the_report_has_mean_best_and_both_ensembles(tmp_path: Path) -> None:
    task = words_task(tmp_path)
    rows = task.splits(1).train
    members = [member(task, "llama", "prompt_tuning", seed) for seed in (3, 4, 5)]
    found = Ensemble(members, ["a", "b", "c"]).evaluate(rows)
    values = []
    for name, one, told in zip("abc", members, found["members"], strict=True):
        assert one.readout is not None
        with one.attach() as prompted:
            own = metrics_of(prompted, one.readout, task, rows)
        assert (told["name"], told["seed"]) == (name, one.meta["seed"])
        assert {key: told[key] for key in ("accuracy", "rows", "interval")} == {
            key: own[key] for key in ("accuracy", "rows", "interval")
        }
        values.append(own["accuracy"])
    assert found["mean"]["accuracy"] == pytest.approx(sum(values) / 3)
    assert found["mean"]["deviation"] == pytest.approx(torch.tensor(values).std(correction=0).item(), abs=1e-6)
    assert found["best"]["accuracy"] == max(values)
    assert {"accuracy", "interval", "rows", "loss"} <= set(found["vote"])
    assert {"accuracy", "interval", "rows", "loss"} <= set(found["mean_probability"])
    assert Ensemble(members).predict(["w20 w41"])[0].label in ("0", "1")


def test_members_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    task = words_task(tmp_path)
    one = member(task, "llama", "prompt_tuning", 0)
    with pytest.raises(SoftPromptError, match="at least one"):
        Ensemble([])
    with pytest.raises(SoftPromptError, match="another template"):
        Ensemble([one, member(words_task(tmp_path, template="{text} w9 {mask}"), "llama", "capt", 0)])
    with pytest.raises(SoftPromptError, match="another name"):
        Ensemble([one, member(task, "llama", "capt", 0, readout="head")])
    nested = words_task(tmp_path, labels=NESTED)
    with pytest.raises(SoftPromptError, match="another scoring"):
        Ensemble([member(nested, "llama", "capt", 0), member(nested, "llama", "capt", 0, scoring="acc_norm")])
    with pytest.raises(SoftPromptError, match="model object"):
        Ensemble([one, member(task, "qwen3", "prompt_tuning", 0)])
    named = member(words_task(tmp_path, name="other"), "llama", "capt", 0)
    with pytest.raises(SoftPromptError, match="1: trained for task 'other', and 0 for 'custom': an ensemble"):
        Ensemble([one, named])
    bare = Prompt(one.method, one.producer, None, None, None, one.fingerprint, one.model, one.tokenizer)
    with pytest.raises(SoftPromptError, match="without a task"):
        Ensemble([bare])
    with pytest.raises(SoftPromptError, match="alone"):
        Ensemble([one, member(task, "llama", "full_finetuning", 0)]).outcomes(task.splits(1).train[:1])


def test_a_vote_is_for_labels_in_one_order(tmp_path: Path) -> None:
    task, rows = few(tmp_path)
    other = task.model_copy(update={"labels": dict(reversed(task.labels.items()))})
    one, turned = (member(each, "bert", "capt", 0, readout="head") for each in (task, other))
    with pytest.raises(SoftPromptError, match="1: its task has its labels in another order than 0"):
        Ensemble([one, turned])
    with pytest.raises(SoftPromptError, match="name a task with the same labels, in the same order"):
        Ensemble([one]).evaluate(rows, other)


def test_what_an_ensemble_is_given_is_told_in_a_line(tmp_path: Path) -> None:
    task, rows = few(tmp_path)
    one = member(task, "llama", "prompt_tuning", 0)
    with pytest.raises(SoftPromptError, match="there are 1 of 2 prompts: give one for each"):
        Ensemble([one, one], names=["first"])
    with pytest.raises(SoftPromptError, match="'w20' stands where rows belong"):
        Ensemble([one]).evaluate(["w20"])  # type: ignore[list-item]
    with pytest.raises(SoftPromptError, match="where the task belongs"):
        Ensemble([one]).evaluate(rows, "words")  # type: ignore[arg-type]
    with pytest.raises(SoftPromptError, match="batch_size is 0: give a whole number of at least 1"):
        Ensemble([one]).evaluate(rows, batch_size=0)
