"""Logits of some ids: those of all, taken; where the model only hands its head's on, the head is given no rows."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softprompt.attached.model import PromptedModel
from softprompt.backbones.heads import lm_head
from softprompt.readouts.label_words import LabelWords
from softprompt.tasks import Task

from ..shared.models import FAMILIES, ids, model
from ..shared.prompts import METHODS, attached, call, close, every_family, fails, tiny
from ..shared.readouts import TEXTS, made

WANTED = torch.tensor([17, 5, 40])
MASK = torch.tensor([[1] * 6, [0, 0, 1, 1, 1, 1]])
ROWS = torch.cat([ids(6), ids(6) + 1])


@contextmanager
def rows_of_head(prompted: PromptedModel) -> Iterator[list[int]]:
    """How many rows the product of the head is given, call by call."""
    head, seen = lm_head(prompted.backbone), list[int]()
    assert isinstance(head, nn.Linear)
    own = nn.functional.linear

    def counted(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if weight is head.weight:
            seen.append(states[..., 0].numel())
        return own(states, weight, bias)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.functional, "linear", counted)
        yield seen


@pytest.mark.parametrize("method", ["capt", "prompt_tuning", "p_tuning_v2"])
@pytest.mark.parametrize("family", FAMILIES)
def test_they_are_those_of_all_logits(family: str, method: str) -> None:
    with tiny(family, method) as prompted, torch.no_grad(), rows_of_head(prompted) as seen:
        for options in ({}, {"positions": torch.tensor([[1, 3], [2, 3]])}):
            expected = call(prompted, ROWS, MASK, **options).logits
            for _ in range(2):
                close(call(prompted, ROWS, MASK, vocabulary=WANTED, **options).logits, expected[..., WANTED], 1e-5)
        assert seen[-1] == 0


def test_a_bias_beside_the_head_keeps_its_part() -> None:
    backbone = copy.deepcopy(model("bart"))
    backbone.final_logits_bias += torch.randn(backbone.final_logits_bias.shape)
    with attached(backbone, "prompt_tuning") as prompted, torch.no_grad(), rows_of_head(prompted) as seen:
        expected = call(prompted, ROWS, MASK).logits[..., WANTED]
        for _ in range(2):
            close(call(prompted, ROWS, MASK, vocabulary=WANTED).logits, expected, 1e-5)
        assert seen[-1] == seen[0] > 0


def test_a_soft_cap_keeps_its_part() -> None:
    backbone = model("gemma3")
    before = backbone.config.final_logit_softcapping
    try:
        for cap in (2.0, None, 3.0):  # also where it changes while a prompt is attached
            with attached(backbone, "capt") as prompted, torch.no_grad():
                for now in (cap, 1.5):
                    backbone.config.final_logit_softcapping = now
                    expected = call(prompted, ROWS, MASK).logits[..., WANTED]
                    for _ in range(2):
                        close(call(prompted, ROWS, MASK, vocabulary=WANTED).logits, expected, 1e-5)
    finally:
        backbone.config.final_logit_softcapping = before


@every_family
def test_their_gradients_are_the_same(family: str) -> None:
    with tiny(family, "prompt_tuning") as prompted:
        found = []
        for options in ({}, {"vocabulary": WANTED}, {"vocabulary": WANTED}):
            logits = call(prompted, ROWS, MASK, **options).logits
            logits = logits if options else logits[..., WANTED]
            loss = -logits.log_softmax(-1)[..., 1].mean()
            found.append(torch.autograd.grad(loss, list(prompted.prompts.parameters())))
    for again in found[1:]:
        for one, expected in zip(again, found[0], strict=True):
            close(one, expected, 1e-5)


@pytest.mark.parametrize("method", ["full_finetuning", "lora"])
def test_weights_that_stand_in_count(method: str) -> None:
    with tiny("llama", method) as prompted:
        found = []
        for options in ({}, {"vocabulary": WANTED}, {"vocabulary": WANTED}):
            logits = call(prompted, ROWS, MASK, **options).logits
            logits = logits if options else logits[..., WANTED]
            parameters = list(prompted.prompts.parameters())
            found.append([logits, *torch.autograd.grad(logits.square().sum(), parameters, allow_unused=True)])
    for again in found[1:]:
        for one, expected in zip(again, found[0], strict=True):
            assert (one is None) == (expected is None)
            if expected is not None:
                close(one, expected, 1e-4)


def test_a_hook_on_the_head_hears_every_row() -> None:
    with tiny("llama", "capt") as prompted, torch.no_grad():
        expected = call(prompted, ROWS, MASK).logits[..., WANTED]
        call(prompted, ROWS, MASK, vocabulary=WANTED)
        head, heard = lm_head(prompted.backbone), list[Tensor]()
        assert head is not None
        handle = head.register_forward_pre_hook(lambda module, given: heard.append(given[0]))
        close(call(prompted, ROWS, MASK, vocabulary=WANTED).logits, expected, 1e-5)
        handle.remove()
        assert heard[0][..., 0].numel() == 12


def test_most_of_the_vocabulary_is_all_of_it() -> None:
    """Rows of the matrix would be copied."""
    with tiny("llama", "capt") as prompted, torch.no_grad(), rows_of_head(prompted) as seen:
        wanted = torch.arange(60)
        for _ in range(2):
            close(call(prompted, ROWS, MASK, vocabulary=wanted).logits, call(prompted, ROWS, MASK).logits[..., :60])
        assert 0 not in seen


def test_labels_are_for_all_logits() -> None:
    with tiny("llama", "capt") as prompted, fails("the labels are for all logits"):
        call(prompted, ROWS, MASK, vocabulary=WANTED, labels=ROWS)


@pytest.mark.parametrize("family", ["bert", "bart", "llama", "gemma3"])
def test_a_half_precision_head_is_read_in_fp32(family: str) -> None:
    """What the head rounds to eight bits is not rounded: the logits are nearer to those of the states in fp32."""
    backbone = copy.deepcopy(model(family)).to(torch.bfloat16)
    with attached(backbone, "prompt_tuning") as prompted, torch.no_grad():
        whole = call(prompted, ROWS, MASK).logits[..., WANTED].float()
        some = [call(prompted, ROWS, MASK, vocabulary=WANTED).logits.float() for _ in range(2)]
        assert torch.equal(*some)
        close(some[0], whole, 2e-2)


@pytest.mark.parametrize(("family", "labels"), [("llama", 2), ("bert", 3)])
def test_label_words_ask_for_their_own(family: str, labels: int) -> None:
    task = Task(template="{text} w50 {mask}", labels={str(label): f"w{10 + label}" for label in range(labels)})
    prompted, readout = made(task, family, METHODS["prompt_tuning"])
    assert isinstance(readout, LabelWords)
    with prompted, rows_of_head(prompted) as seen:
        rows = task.rows_of([{"text": text, "label": "1"} for text in TEXTS])
        batch = readout.collate([readout.encode(row) for row in rows], train=True)
        expected = readout.loss_of(readout.scores(readout.outputs(prompted, batch), batch), batch)
        for _ in range(2):
            close(readout.loss(prompted, batch), expected, 1e-5)
        assert seen[-1] == 0
        told: Any = readout.answer(prompted, batch)
        assert seen[-1] == 0
        scores = readout.scores(readout.outputs(prompted, batch), batch)
        assert [one.prediction for one in told] == scores.argmax(-1).tolist()
