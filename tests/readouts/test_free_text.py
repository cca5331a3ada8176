"""Free text is trained and generated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from softprompt.tasks import Task
from softprompt.training.run import train

from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS


@pytest.mark.parametrize("family", ["llama", "gemma3", "t5", "bart"])
@pytest.mark.parametrize("method", ["capt", "p_tuning_v2"])
def test_free_text_is_trained_and_generated(family: str, method: str, tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"w{30 + i} w21", "answer": "w10 w11"}) for i in range(60)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    task = Task(kind="generation", template="{text} {mask}", metric="exact_match", columns={"label": ["answer"]})
    done = train(
        model(family), tokenizer(), task.with_data(tmp_path / "rows.jsonl"), METHODS[method], output=tmp_path / "run",
        progress=False, max_steps=2, max_new_tokens=4,
    )  # fmt: skip
    assert done.metrics["test"]["rows"] == 6
    texts = ["w30 w21", "w33 w34 w35 w21"]
    together = done.predict(texts)
    assert together == [done.predict([text])[0] for text in texts]
