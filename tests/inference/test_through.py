"""A prompt is asked through whatever it is attached to; one without a task says so."""

from __future__ import annotations

from pathlib import Path

import pytest

import softprompt as sp
from softprompt.attached.answering import Answerer
from softprompt.errors import SoftPromptError

from ..shared.members import few, member

TEXTS = ["w20 w41", "w30"]


def test_a_prompt_is_what_an_attached_model_asks(tmp_path: Path) -> None:
    task, _ = few(tmp_path)
    prompt = member(task, "llama", "prompt_tuning", seed=2)
    assert isinstance(prompt, Answerer)
    other = member(task, "llama", "prompt_tuning", seed=9)
    with sp.attach(prompt.backbone, {"one": prompt, "two": other}) as prompted:
        for name, own in (("one", prompt), ("two", other)):
            found = own.answers_through(prompted, TEXTS, name=name, batch_size=2, returns="probabilities")
            assert found == own.predict(TEXTS, returns="probabilities")


def test_a_prompt_without_a_task_says_so(tmp_path: Path) -> None:
    prompt = member(few(tmp_path)[0], "llama", "prompt_tuning", seed=2)
    prompt.task = prompt.readout = None
    for ask in (prompt.predict, prompt.outcomes):
        with pytest.raises(SoftPromptError, match="this prompt was saved without a task"):
            ask(TEXTS)
