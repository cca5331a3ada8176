"""Label words of several tokens stand at as many masks, each scored at its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from softprompt.readouts.label_words import LabelWords
from softprompt.readouts.masks import Masks
from softprompt.tasks import Task

from ..shared.models import MASK
from ..shared.prompts import METHODS
from ..shared.readouts import TEXTS, answers, ids_of, made
from ..shared.runs import learned

WORDS = {"0": "w10", "1": "w10 w11", "2": "w12 w13 w14"}


@pytest.mark.parametrize("template", ["{text} w50 {mask}", "w50 {mask} w51 {text}"])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_an_answer_scores_as_the_product_of_its_tokens_at_its_own_masks(family: str, template: str) -> None:
    task = Task(template=template, labels=WORDS)
    prompted, readout = made(task, family, METHODS["prompt_tuning"])
    assert isinstance(readout, Masks)
    assert not readout.vocabulary
    with prompted, torch.no_grad():
        found = answers(prompted, readout, task.rows_of(TEXTS))
        for text, outcome in zip(TEXTS, found, strict=True):
            scores = []
            for word in WORDS.values():
                goal = ids_of(word)
                before, after = template.replace("{text}", text).split("{mask}")
                ids = [*ids_of(before), *[MASK] * len(goal), *ids_of(after)]
                logs = prompted(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
                scores.append(sum(logs[ids.index(MASK) + place, token] for place, token in enumerate(goal)))
            assert outcome.probabilities == pytest.approx(torch.stack(scores).softmax(-1).tolist(), abs=1e-4)


def test_answers_of_one_length_share_a_sequence() -> None:
    task = Task(template="{text} {mask}", labels={**WORDS, "3": "w15", "4": "w16 w17"})
    _, readout = made(task, "bert", METHODS["prompt_tuning"])
    batch = readout.collate([readout.encode(row) for row in task.rows_of(TEXTS)])
    assert batch["input_ids"].shape[0] == 3 * len(TEXTS)
    assert ((batch["input_ids"] == MASK).sum(1).view(len(TEXTS), 3) == torch.tensor([1, 2, 3])).all()


def test_long_texts_leave_room_for_the_longest_answer() -> None:
    task = Task(template="{text} {mask}", labels=WORDS)
    _, readout = made(task, "bert", METHODS["prompt_tuning"], max_length=16)
    batch = readout.collate([readout.encode(task.rows_of([" ".join(["w20"] * 40)])[0])])
    assert batch["input_ids"].shape[1] + METHODS["prompt_tuning"].num_virtual_tokens <= 16
    assert int((batch["input_ids"] == MASK).sum(1).max()) == 3


def test_words_of_one_token_are_read_as_ever() -> None:
    task = Task(template="{text} {mask}", labels={"0": "w10", "1": "w11"})
    _, readout = made(task, "bert", METHODS["prompt_tuning"])
    assert type(readout) is LabelWords
    _, readout = made(task, "bert", METHODS["prompt_tuning"], scoring="acc_norm")
    assert isinstance(readout, Masks)


def test_every_answer_can_be_learned(tmp_path: Path) -> None:
    run = learned(tmp_path, "bert", {"a": "w60", "b": "w60 w61", "c": "w62"})
    assert run.metrics["test"]["accuracy"] == 1
    assert run.prompt.readout_spec is not None
    assert run.prompt.readout_spec.answer_end == "no"
