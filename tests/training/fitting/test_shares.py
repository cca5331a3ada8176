"""A batch in parts: the ranks' weighted gradients add up to the whole batch's, whatever its loss is a mean over."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from softprompt.methods import DeepPrompt, Method, SoftWords
from softprompt.ranks import Ranks
from softprompt.tasks import Task
from softprompt.training.fitting.shares import Shares
from softprompt.training.fitting.task_model import TaskModel

from ...shared.readouts import CHOICES, made

TEXTS = ["w20 w21 w22", "w30", "w40 w41 w42 w43 w44 w45", "w23 w24", "w50 w51 w52 w53"]
WORDS = Task(name="words", template="{text} {mask}", labels={"0": "w10", "1": "w11 w12 w13"})
TAGS = Task(name="names", kind="tags", labels=["O", "B-X", "I-X"])
TAGGED = [{"tokens": text.split(), "tags": ["B-X"] * len(text.split())} for text in TEXTS]
ASKED = Task(name="squad", kind="extraction")
ANSWERED = [{"question": "w10", "context": f"w20 w21 w{30 + n}", "answers": ["w21"]} for n in range(3)]
UNANSWERED = [{"question": "w10", "context": "w20 w21", "answers": []} for _ in range(2)]
BORN = Task(kind="fact", name="born", template="w60 {subject} w61 {mask}", vocabulary=("w30", "w31"))
FACTS = [{"subject": f"w2{n}", "answers": [word]} for n, word in enumerate(["w30", "w31", "w32", "w30", "w33"])]
WRITTEN = Task(kind="generation", template="{text} {mask}", metric="exact_match", columns={"label": ["answer"]})
LABELLED: list[dict[str, Any]] = [{"text": text, "label": str(n % 2)} for n, text in enumerate(TEXTS)]
SOFT = SoftWords(prompts=("w60 {text} w61 w62 {mask}", "{text} w63 {mask}"))

CASES: dict[str, tuple[Task, list[dict[str, Any]], str, dict[str, Any]]] = {
    "label words": (WORDS.model_copy(update={"labels": {"0": "w10", "1": "w11"}}), LABELLED, "bert", {}),
    "candidates": (WORDS, LABELLED, "llama", {}),
    "answers' tokens": (WORDS, LABELLED, "t5", {"loss": "vocabulary"}),
    "tokens and z": (WORDS, LABELLED, "t5", {"loss": "vocabulary", "z_loss": 0.1}),
    "choices": (Task(kind="choice", name="two", template="{premise} {mask}"), [*CHOICES, *CHOICES], "llama", {}),
    "free text": (WRITTEN, [{"text": t, "answer": " ".join(["w10"] * n)} for n, t in enumerate(TEXTS, 1)], "llama", {}),
    "tags": (TAGS, TAGGED, "bert", {}),
    "spans": (ASKED, [*ANSWERED, *UNANSWERED], "bert", {}),
    "facts": (BORN, FACTS, "bert", {}),
    "a head": (WORDS, LABELLED, "bert", {"readout": "head"}),
}


def _gradient(trained: TaskModel, items: list[Any], weight: float | None) -> torch.Tensor:
    parameters = [one for one in trained.parameters() if one.requires_grad]
    loss = trained(trained.readout.collate(items, train=True))
    found = torch.autograd.grad(loss if weight is None else loss * weight, parameters, allow_unused=True)
    shaped = (torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True))
    return torch.cat([one.flatten() for one in shaped])


def _parts_add_up(
    task: Task, records: list[dict[str, Any]], family: str, method: Method, given: dict[str, Any]
) -> None:
    prompted, readout = made(task, family, method, **given)
    with prompted:
        for parameter in readout.parameters():
            nn.init.normal_(parameter, generator=torch.Generator().manual_seed(1))
        trained = TaskModel(prompted, readout).train()
        items = [readout.encode(row) for row in task.rows_of(records)]
        whole = _gradient(trained, items, None)
        assert bool(whole.any())
        for count in (2, 8) if family == "bert" else (3,):
            total = torch.zeros_like(whole)
            for index in range(count):
                shares = Shares(0, lambda: False, Ranks(index, count))
                total += _gradient(trained, *shares.of(readout, items))
            torch.testing.assert_close(total, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_the_parts_of_a_batch_add_up_to_it(case: str) -> None:
    task, records, family, given = CASES[case]
    _parts_add_up(task, records, family, DeepPrompt(num_virtual_tokens=2), given)


def test_the_parts_of_a_mixture_add_up_to_it() -> None:
    _parts_add_up(CASES["label words"][0], LABELLED, "bert", SOFT, {})


def test_one_rank_has_all_and_weighs_nothing() -> None:
    _, readout = made(WORDS, "llama", DeepPrompt())
    items = [readout.encode(row) for row in WORDS.rows_of(LABELLED)]
    shares = Shares(0, lambda: False, Ranks())
    assert shares.of(readout, items) == (items, None)
    before = torch.get_rng_state()
    with shares.chance(0):
        assert torch.equal(torch.get_rng_state(), before)


class Alone(Ranks):
    """A rank whose sums are its own numbers, so that what it sends can be seen."""

    def sum(self, numbers: torch.Tensor) -> None:
        object.__setattr__(self, "sent", numbers.clone())


def test_a_step_sends_its_gradient_its_losses_and_who_took_part() -> None:
    moved, still = nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(4))
    (moved * torch.arange(6.0).view(2, 3)).sum().backward()
    ranks = Alone(1, 2)
    shares = Shares(0, lambda: True, ranks)
    for loss, weight in ((0.5, 0.25), (2.0, 0.75)):
        own = torch.tensor(loss)
        assert float(shares.weighted(own, own + 1, weight)) == (loss + 1) * weight
    assert shares.add_up([moved, still]) == [0.125, 1.5]
    assert ranks.sent.tolist() == [0, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0.125, 1.5, 1, 1, 0]  # type: ignore[attr-defined]
    assert moved.grad is not None
    assert still.grad is None
    assert shares.stops()
    assert shares.pending == []


def test_each_rank_draws_its_own_and_all_go_on_alike() -> None:
    def drawn(index: int, step: int) -> tuple[list[float], list[float]]:
        torch.manual_seed(7)
        with Shares(3, lambda: False, Ranks(index, 2)).chance(step):
            own = torch.rand(3).tolist()
        return own, torch.rand(3).tolist()

    (one, after), (other, afterwards), (later, _), (again, _) = drawn(0, 5), drawn(1, 5), drawn(0, 6), drawn(0, 5)
    assert one != other
    assert one != later
    assert one == again
    torch.manual_seed(7)
    assert after == afterwards == torch.rand(3).tolist()
