"""What tasks share of a prompt, and what a further task starts from."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from softprompt.attached.attach import build
from softprompt.methods import MPT, Attempt, Method, PTuningV2
from softprompt.training.multitask.parts import SHARED, common, prompts_of

from ...shared.models import model, tokenizer


def made(method: Method) -> dict[str, Any]:
    return {**prompts_of(build(model("llama"), tokenizer(), method), method, ["one", "other"])}


@pytest.mark.parametrize("method", [MPT(num_virtual_tokens=2), Attempt(num_virtual_tokens=2, num_sources=2)])
def test_what_is_no_tasks_own_is_one_parameter(method: Method) -> None:
    found = made(method)
    one, other = (dict(found[name].named_parameters()) for name in ("one", "other"))
    own = {name for name in one if one[name] is not other[name]}
    assert own == set(method.per_task)
    assert all(torch.equal(one[name], other[name]) for name in own)


def test_a_prompt_that_is_shared_whole_is_attached_once() -> None:
    assert list(made(PTuningV2(num_virtual_tokens=2))) == [SHARED]


@torch.no_grad()
def test_a_further_task_starts_from_the_mean_of_what_each_has() -> None:
    method = MPT(num_virtual_tokens=2)
    found = made(method)
    found["one"].columns.fill_(1.0)
    found["other"].columns.fill_(4.0)
    found["one"].table.fill_(7.0)  # the other's, too
    start: Any = common(found, method)
    assert torch.equal(start.columns, torch.full((2, 1), 2.5))
    assert torch.equal(start.table, found["other"].table)
    start.table.zero_()
    assert bool((found["one"].table == 7).all())  # a copy
