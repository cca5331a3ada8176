"""A head over pooled features: text alone is pooled, what is stored is plain, and choices train with it."""

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
from ..shared.readouts import CHOICES, TEXTS, ids_of, made


@pytest.mark.parametrize("family", ["bert", "llama", "t5"])
def test_choices_train_with_a_head(family: str, tmp_path: Path) -> None:
    lines = [json.dumps({**CHOICES[i % 2], "premise": f"w{20 + i} w21"}) for i in range(20)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    task = Task(kind="choice", fields=("premise",), template="{premise} {choice}").with_data(tmp_path / "rows.jsonl")
    done = train(
        model(family), tokenizer(), task, HeadOnly(), output=tmp_path / "run", progress=False, max_steps=150,
        patience=99,
    )  # fmt: skip
    assert done.metrics["history"][-1]["train_loss"] < 0.5 * done.metrics["history"][1]["train_loss"]
    assert done.metrics["trained_parameters"] == 32 + 1


@pytest.mark.parametrize("pooling", ["first", "last", "mean"])
@pytest.mark.parametrize("family", ["bert", "llama", "t5"])
@pytest.mark.parametrize("method", ["capt", "prompt_tuning", "head_only"])
def test_pooling_sees_text_only(pooling: str, family: str, method: str) -> None:
    task = Task(template="{text} {mask}", labels={"0": "w10", "1": "w11"})
    prompted, readout = made(task, family, METHODS[method], readout="head", pooling=pooling)
    with prompted, torch.no_grad():
        batch = readout.collate([readout.encode(row) for row in task.rows_of(TEXTS)])
        found = readout.features(prompted, batch)  # type: ignore[operator]
        for row, text in enumerate(TEXTS):
            states = prompted.states(input_ids=torch.tensor([ids_of(text)]))[0]
            expected = {"first": states[0], "last": states[-1], "mean": states.mean(0)}[pooling]
            torch.testing.assert_close(found[row], expected, atol=1e-4, rtol=1e-4)


def test_the_stored_head_is_plain(tmp_path: Path) -> None:
    task = Task(template="{text} {mask}", labels={"0": "w10", "1": "w11"})
    prompted, readout = made(task, "bert", HeadOnly())
    with prompted, torch.no_grad():
        batch = readout.collate([readout.encode(row) for row in task.rows_of(TEXTS)])
        features = readout.features(prompted, batch)  # type: ignore[operator]
        readout.standardise(features)  # type: ignore[operator]
        readout.linear.weight.normal_()  # type: ignore[union-attr]
        stored = readout.stored()
        expected = [o.probabilities for o in readout.answer(prompted, batch)]
        plain = (features @ stored["head.weight"].T + stored["head.bias"]).softmax(-1)
        assert [pytest.approx(p, abs=1e-5) for p in plain.tolist()] == expected
        readout.load_stored(stored)
        assert [o.probabilities for o in readout.answer(prompted, batch)] == [
            pytest.approx(p, abs=1e-5) for p in expected
        ]


@pytest.mark.parametrize("pooling", ["first", "last", "mean"])
@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
@pytest.mark.parametrize("method", ["p_tuning_v2", "prompt_tuning"])
def test_a_blank_row_is_read_alone_as_among_others(pooling: str, family: str, method: str) -> None:
    task = Task(template="{text} {mask}", labels=["w10", "w11"], blank_text=True)
    prompted, readout = made(task, family, METHODS[method], readout="head", pooling=pooling)
    with prompted, torch.no_grad():
        blank, other = (readout.encode(row) for row in task.rows_of(["", "w20 w21 w22"]))
        assert blank.length
        together, alone = (readout.outputs(prompted, readout.collate(few))[0] for few in ([blank, other], [blank]))
    assert bool(torch.isfinite(together).all())
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
