"""A readout that cannot be is one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import SoftPromptError
from softprompt.methods import PromptTuning
from softprompt.tasks import Task

from ..shared.prompts import METHODS
from ..shared.readouts import made
from ..shared.runs import task as words


@pytest.mark.parametrize(
    ("family", "task", "options", "message"),
    [
        ("bert", {"labels": {"0": "w10", "1": "w11"}}, {"readout": "text"}, "'mask' or 'head'"),
        ("llama", {"labels": {"0": "w10", "1": "w11"}}, {"readout": "mask"}, "masked language model"),
        ("llama", {"labels": {"0": "w10", "1": "zebra"}}, {}, "zebra"),
        ("llama", {"labels": {"0": "w10", "1": "w10"}}, {}, "same tokens"),
        ("llama", {"labels": {"0": "w10 zebra", "1": "w10 lion"}}, {}, r"\('w10 zebra' and 'w10 lion'\): choose"),
        ("bert", {"labels": {"0": "w10", "1": " w10"}}, {}, "same tokens"),
        ("bert", {"labels": {"0": "", "1": "w10"}}, {}, "an answer is empty"),
        ("bert", {"labels": {}, "kind": "choice"}, {}, "no label words"),
        ("llama", {"kind": "generation", "metric": "exact_match"}, {"readout": "head"}, "free text"),
        ("bert", {"kind": "generation", "metric": "exact_match"}, {}, "free text, which an encoder cannot write"),
        ("llama", {"kind": "regression", "metric": "pearson"}, {"readout": "head"}, "bounds"),
    ],
)
def test_a_readout_that_cannot_be_is_one_line(
    family: str, task: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SoftPromptError, match=message) as error:
        prompted, _ = made(Task(template="{text} {mask}", **task), family, METHODS["capt"], **options)
    assert "\n" not in str(error.value)


AT_THE_END = PromptTuning(num_virtual_tokens=2, placement="end")


@pytest.mark.parametrize(
    ("template", "options", "readout"),
    [
        ("{text} w50 {mask}", {}, None),
        ("{text} w50 {mask}", {"labels": {"0": "w10 w12", "1": "w11"}}, None),
        ("{text} w50 {mask}", {}, "rows"),
    ],
)
def test_a_prompt_at_the_end_stands_before_the_answer_of_a_causal_model(
    template: str, options: dict[str, Any], readout: str | None, tmp_path: Path
) -> None:
    """Behind the last column that is read, it would have no part in any answer, and no gradient."""
    own = words(tmp_path, template=template, **options)
    prompted, read = made(own, "llama", AT_THE_END, **({} if readout is None else {"readout": readout}))
    with prompted:
        items = [read.encode(row) for row in own.splits(1).train[:3]]
        assert all(item.texts[0].ids[-3:] == (50, -1, -2) for item in items)
        read.loss(prompted, read.collate(items, train=True)).backward()
        assert all(one.grad is not None and one.grad.any() for one in prompted.prompts.parameters())


def test_a_head_on_a_causal_model_refuses_a_prompt_behind_what_it_reads() -> None:
    own = Task(template="{text} {mask}", labels={"0": "w10", "1": "w11"})
    with pytest.raises(SoftPromptError, match="none of them sees a prompt behind them: set placement to front"):
        made(own, "llama", AT_THE_END, readout="head")
