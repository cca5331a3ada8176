"""Answers of several tokens score as their chains, and choices by their likelihood."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task

from ..shared.models import model
from ..shared.prompts import METHODS
from ..shared.readouts import CHOICES, TEXTS, answers, ids_of, made


@pytest.mark.parametrize("method", ["capt", "prompt_tuning", "p_tuning_v2"])
def test_a_label_of_several_tokens_scores_as_its_chain(method: str) -> None:
    task = Task(template="{text} {mask}", labels={"0": "w10 w11", "1": "w12", "2": "w10 w13 w14"})
    prompted, readout = made(task, "llama", METHODS[method])
    with prompted, torch.no_grad():
        found = answers(prompted, readout, task.rows_of(TEXTS))
        for text, outcome in zip(TEXTS, found, strict=True):
            scores = []
            for words in ("w10 w11", "w12", "w10 w13 w14"):
                text_ids, label = ids_of(text), ids_of(words)
                whole = torch.tensor([text_ids + label])
                seen = torch.tensor([[True] * len(text_ids) + [False] * len(label)])
                logs = prompted(input_ids=whole, conditioning_mask=seen).logits[0].log_softmax(-1)
                scores.append(sum(logs[len(text_ids) - 1 + i, token] for i, token in enumerate(label)))
            assert outcome.probabilities == pytest.approx(torch.stack(scores).softmax(-1).tolist(), abs=1e-4)


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_an_encoder_decoder_scores_label_texts(family: str) -> None:
    task = Task(template="{text} {mask}", labels={"0": "w10 w11", "1": "w12"})
    prompted, readout = made(task, family, METHODS["prompt_tuning"])
    start = model(family).config.decoder_start_token_id
    with prompted, torch.no_grad():
        found = answers(prompted, readout, task.rows_of(TEXTS))
        for text, outcome in zip(TEXTS, found, strict=True):
            scores = []
            for words in ("w10 w11", "w12"):
                label = ids_of(words)
                logits = prompted(
                    input_ids=torch.tensor([ids_of(text)]), decoder_input_ids=torch.tensor([[start, *label[:-1]]])
                ).logits[0]
                scores.append(sum(logits[i].log_softmax(-1)[token] for i, token in enumerate(label)))
            assert outcome.probabilities == pytest.approx(torch.stack(scores).softmax(-1).tolist(), abs=1e-4)


def test_choices_are_scored_by_likelihood() -> None:
    task = Task(kind="choice", fields=("premise",), template="{premise} w50 {choice} w51")
    prompted, readout = made(task, "qwen3", METHODS["capt"])
    with prompted, torch.no_grad():
        rows = task.rows_of(CHOICES)
        for row, outcome in zip(rows, answers(prompted, readout, rows), strict=True):
            scores = []
            for choice in row.choices:
                before, after = ids_of(f"{row.fields['premise']} w50"), ids_of(f"{choice} w51")
                seen = torch.tensor([[True] * len(before) + [False] * len(after)])
                logits = prompted(input_ids=torch.tensor([before + after]), conditioning_mask=seen).logits[0]
                logs = logits.log_softmax(-1)
                scores.append(sum(logs[len(before) - 1 + i, token] for i, token in enumerate(after)))
            expected = torch.stack(scores).softmax(-1)
            assert outcome.probabilities[: len(scores)] == pytest.approx(expected.tolist(), abs=1e-4)
            assert all(p == 0 for p in outcome.probabilities[len(scores) :])


@pytest.mark.parametrize("kind", ["labels", "choices"])
@pytest.mark.parametrize(
    ("family", "told"),
    [
        ("bart", "is 70 tokens, and the backbone's decoder takes 64: shorten it"),
        ("llama", "an answer may have 70 tokens, which leaves no room for a text in 64"),
        ("t5", None),
    ],
)
def test_an_answer_without_room_is_refused_and_never_cut(kind: str, family: str, told: str | None) -> None:
    long = " ".join(["w10"] * 70)
    row: dict[str, object] = {"text": "w20"}
    if kind == "labels":
        task = Task(template="{text} {mask}", labels={"0": long, "1": "w12"})
    else:
        task, row = Task(kind="choice", fields=("text",), template="{text} {mask}"), {**row, "choices": [long, "w12"]}
    with nullcontext() if told is None else pytest.raises(SoftPromptError, match=told):
        _, readout = made(task, family, METHODS["prompt_tuning"])
        assert len(readout.encode(task.rows_of([row])[0]).targets[0]) == 70
