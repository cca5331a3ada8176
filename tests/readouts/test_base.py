"""What all readouts share: losses that are what they say, and numbers within their bounds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from softprompt.methods import HeadOnly
from softprompt.tasks import Task
from softprompt.training.run import train

from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS
from ..shared.readouts import TEXTS, ids_of, made


@pytest.mark.parametrize("loss", ["labels", "vocabulary"])
@pytest.mark.parametrize(
    ("family", "labels"), [("llama", ("w10", "w11")), ("llama", ("w10 w11", "w12")), ("t5", ("w10", "w11"))]
)
def test_losses_are_what_they_say(loss: str, family: str, labels: tuple[str, str]) -> None:
    task = Task(template="{text} {mask}", labels=dict(zip("01", labels, strict=True)))
    prompted, readout = made(task, family, METHODS["prompt_tuning"], loss=loss)
    rows = task.rows_of([{"text": text, "label": str(i % 2)} for i, text in enumerate(TEXTS)])
    items = [readout.encode(row) for row in rows]
    with prompted, torch.no_grad():
        found = float(readout.loss(prompted, readout.collate(items, train=True)))
        if loss == "labels":
            outcomes = readout.answer(prompted, readout.collate(items))
            expected = sum(o.loss for o in outcomes) / len(outcomes)
        else:
            chains = []
            for row in rows:
                label, text = ids_of(labels[row.label]), ids_of(row.fields["text"])
                if family == "t5":
                    start = model(family).config.decoder_start_token_id
                    decoder = torch.tensor([[start, *label[:-1]]])
                    logits = prompted(input_ids=torch.tensor([text]), decoder_input_ids=decoder).logits[0]
                else:
                    logits = prompted(input_ids=torch.tensor([text + label])).logits[0, len(text) - 1 :]
                chains += [-logits[i].log_softmax(-1)[token] for i, token in enumerate(label)]
            expected = float(torch.stack(chains).mean())
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("family", "readout"), [("llama", "text"), ("bert", "mask"), ("llama", "head"), ("t5", "head")]
)
def test_a_regression_predicts_within_its_bounds(family: str, readout: str, tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"w{40 + i} w{30 if i % 2 else 20}", "label": 5.0 * (i % 2)}) for i in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    words = {} if readout == "head" else {"labels": {"0": "w10", "5": "w11"}}
    task = Task(kind="regression", template="{text} {mask}", bounds=(0, 5), metric="pearson", **words)
    method = HeadOnly() if readout == "head" else METHODS["prompt_tuning"]
    rate = {} if readout == "head" else {"learning_rate": 0.05}
    done = train(
        model(family), tokenizer(), task.with_data(tmp_path / "rows.jsonl"), method, output=tmp_path / "run",
        progress=False, max_steps=40, readout=readout, patience=99, **rate,
    )  # fmt: skip
    assert done.metrics["history"][-1]["loss"] < done.metrics["history"][0]["loss"]
    found = [float(answer) for answer in done.predict(["w41 w20", "w40 w30"])]
    assert found[0] < 2.5 < found[1]
