"""A readout that cannot be is one line."""

from __future__ import annotations

from typing import Any

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task

from ..shared.prompts import METHODS
from ..shared.readouts import made


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
