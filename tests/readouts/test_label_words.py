"""Label words read where the answer stands: against a softmax over their logits, row alone and whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from softprompt.tasks import Task

from ..shared.prompts import METHODS
from ..shared.readouts import TEXTS, answers, ids_of, made


@torch.no_grad()
def next_logs(prompted: Any, text: str) -> torch.Tensor:
    """Log-probabilities after a text, row alone and whole."""
    return prompted(input_ids=torch.tensor([ids_of(text)])).logits[0, -1].log_softmax(-1)


@pytest.mark.parametrize("method", ["capt", "prompt_tuning", "p_tuning_v2", "hard_prompt"])
def test_label_words_are_a_softmax_over_their_logits(method: str) -> None:
    task = Task(template="{text} w50 {mask}", labels={"0": "w10", "1": "w11", "2": "w12"})
    prompted, readout = made(task, "llama", METHODS[method])
    with prompted:
        found = answers(prompted, readout, task.rows_of(TEXTS))
        for text, outcome in zip(TEXTS, found, strict=True):
            expected = next_logs(prompted, f"{text} w50")[[10, 11, 12]].softmax(-1)
            assert outcome.probabilities == pytest.approx(expected.tolist(), abs=1e-5)
            assert outcome.prediction == int(expected.argmax())


def test_the_mask_readout_reads_the_mask() -> None:
    task = Task(template="w60 {mask} w61 {text}", labels={"0": "w10", "1": "w11"})
    prompted, readout = made(task, "bert", METHODS["capt"])
    with prompted, torch.no_grad():
        found = answers(prompted, readout, task.rows_of(TEXTS))
        for text, outcome in zip(TEXTS, found, strict=True):
            whole = torch.tensor([ids_of(f"w60 [MASK] w61 {text}")])
            expected = prompted(input_ids=whole).logits[0, 1, [10, 11]].softmax(-1)
            assert outcome.probabilities == pytest.approx(expected.tolist(), abs=1e-5)
