"""`predict` gives labels, words or probabilities."""

from __future__ import annotations

from pathlib import Path

import pytest

import softprompt as sp
from softprompt.errors import SoftPromptError
from softprompt.inference.returned import check_returned

from ..shared.models import model, tokenizer

TEXTS = ["w20 w41", "w30"]


def test_what_predict_returns(tmp_path: Path) -> None:
    task = sp.Task(template="{text} {mask}", labels={"0": "w10", "1": "w11"})
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "".join(f"w20 w{30 + n},{n % 2}\n" for n in range(20)))
    options = {"output": tmp_path / "run", "max_steps": 1, "num_virtual_tokens": 2, "progress": False}
    options.pop("num_virtual_tokens")
    prompt = sp.train(model("llama"), tokenizer(), task.with_data(path), "prompt_tuning", **options).prompt
    labels = prompt.predict(TEXTS)
    assert prompt.predict(TEXTS, returns="labels") == labels
    assert prompt.predict(TEXTS, returns="words") == [task.labels[label] for label in labels]
    chances = prompt.predict(TEXTS, returns="probabilities")
    assert [max(one, key=one.__getitem__) for one in chances] == labels
    assert all(set(one) == {"0", "1"} and sum(one.values()) == pytest.approx(1) for one in chances)
    with pytest.raises(SoftPromptError, match="choose one of labels, words, probabilities"):
        prompt.predict(TEXTS, returns="logits")  # type: ignore[call-overload]


def test_what_has_no_probabilities_says_so() -> None:
    task = sp.Task(kind="generation", template="{text} {mask}")
    with pytest.raises(SoftPromptError, match="has no probabilities"):
        check_returned(task, "probabilities")
    check_returned(task, "words")
