"""Free text is trained and generated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from softprompt.readouts.free_text import FreeText
from softprompt.tasks import Task
from softprompt.training.run import train

from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS
from ..shared.readouts import ids_of, made


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


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5", "bart"])
@pytest.mark.parametrize("lead", [(), (7,)])
def test_of_a_long_answer_the_beginning_is_taught_without_an_end(family: str, lead: tuple[int, ...]) -> None:
    task = Task(kind="generation", template="{text} {mask}", metric="exact_match")
    _, readout = made(task, family, METHODS["prompt_tuning"], max_new_tokens=3)
    assert isinstance(readout, FreeText)
    readout.lead, readout.max_new_tokens = lead, 3 + len(lead)
    end = (readout.end,)
    for answer, kept in (("w10 w11", "w10 w11"), ("w10 w11 w12", "w10 w11 w12"), ("w10 w11 w12 w13", "w10 w11 w12")):
        item = readout.encode(task.rows_of([{"text": "w20", "label": answer}])[0])
        whole = (*lead, *ids_of(answer), *end)
        limit = 3 + len(lead)
        assert item.targets == (whole[:limit],)
        assert item.targets[0][len(lead) :][:3] == (*ids_of(kept), *end)[:3]
        assert item.answer_cut == (len(whole) > limit)
