"""Label rows and mixtures as readouts of any method, and the places of virtual tokens around text and answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from softprompt.backbones.heads import label_rows
from softprompt.methods import SoftWords
from softprompt.readouts.label_rows import LabelRows
from softprompt.readouts.mixture import Mixture
from softprompt.readouts.surround import surrounded
from softprompt.tasks import Task
from softprompt.tasks.text.template import Mask, Template
from softprompt.training.run import train

from ..shared.models import HIDDEN, model, tokenizer
from ..shared.prompts import METHODS, close
from ..shared.readouts import TEXTS, answers, ids_of, made

TASK = Task(template="{text} w50 {mask}", labels={"0": "w10", "1": "w11 w12", "2": "w13"})


@pytest.mark.parametrize("method", ["capt", "prompt_tuning", "p_tuning_v2"])
@pytest.mark.parametrize("family", ["bert", "roberta", "bart", "gemma3"])
def test_every_method_can_be_read_with_rows(method: str, family: str) -> None:
    """They start as label words; a label of several tokens as the mean of their logits."""
    prompted, readout = made(TASK, family, METHODS[method], readout="rows")
    kind = prompted.anatomy.kind
    with prompted, torch.no_grad():
        found = answers(prompted, readout, TASK.rows_of(TEXTS))
        for text, outcome in zip(TEXTS, found, strict=True):
            given: dict[str, Any] = {"input_ids": torch.tensor([ids_of(f"{text} w50")])}
            if kind == "encoder":
                given = {"input_ids": torch.tensor([ids_of(f"{text} w50 [MASK]")])}
            elif kind == "encoder-decoder":
                given["decoder_input_ids"] = torch.tensor([[model(family).config.decoder_start_token_id]])
            logits = prompted(**given).logits[0, -1]
            expected = torch.stack([logits[10], (logits[11] + logits[12]) / 2, logits[13]]).softmax(-1)
            assert outcome.probabilities == pytest.approx(expected.tolist(), abs=1e-5)


def test_a_decoder_reads_what_stands_before_the_answer() -> None:
    prompted, readout = made(TASK, "t5", METHODS["prompt_tuning"], readout="rows")
    assert isinstance(readout, LabelRows)
    start = model("t5").config.decoder_start_token_id
    behind = LabelRows(readout.row_encoder, readout.weight, readout.bias, 0, bounds=None, decoder_ids=(start, 40))
    with prompted, torch.no_grad():
        (found,) = answers(prompted, behind, TASK.rows_of(TEXTS[:1]))
        logits = prompted(
            input_ids=torch.tensor([ids_of(f"{TEXTS[0]} w50")]), decoder_input_ids=torch.tensor([[start, 40]])
        ).logits[0, -1]
    expected = torch.stack([logits[10], (logits[11] + logits[12]) / 2, logits[13]]).softmax(-1)
    assert found.probabilities == pytest.approx(expected.tolist(), abs=1e-5)


def test_the_vocabularys_logits_are_never_computed() -> None:
    prompted, readout = made(TASK, "llama", METHODS["capt"], readout="rows")
    shapes = []
    head = model("llama").get_output_embeddings()
    handle = head.register_forward_hook(lambda module, args, out: shapes.append(tuple(out.shape)))
    with prompted:
        answers(prompted, readout, TASK.rows_of(TEXTS))
    handle.remove()
    assert [shape[-2] for shape in shapes] == [0]
    assert not head._forward_pre_hooks


def test_rows_of_a_head_are_fp32_copies() -> None:
    backbone = model("bert", dtype=torch.bfloat16)
    weight, bias = label_rows(backbone, [(10,), (11, 12)])
    head = backbone.get_output_embeddings()
    assert weight.dtype == bias.dtype == torch.float32
    close(weight[1], head.weight[[11, 12]].detach().float().mean(0))
    close(bias[0], head.bias[10].detach().float())


@pytest.mark.parametrize("family", ["bert", "t5", "llama"])
def test_a_regression_has_one_row(family: str, tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"w{40 + i} w{30 if i % 2 else 20}", "label": 5.0 * (i % 2)}) for i in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    task = Task(kind="regression", template="{text} {mask}", bounds=(0, 5), metric="pearson")
    done = train(
        model(family), tokenizer(), task.with_data(tmp_path / "rows.jsonl"), METHODS["warp"], output=tmp_path / "run",
        progress=False, max_steps=40, learning_rate=0.05, head_learning_rate=0.05, patience=99,
    )  # fmt: skip
    assert done.metrics["trained_head_parameters"] == HIDDEN + 1
    assert done.metrics["history"][-1]["loss"] < done.metrics["history"][0]["loss"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{text} It was {mask}.", "{prompt:1}{text} It was{prompt:2} {mask}{prompt:3}.{prompt:4}"),
        ("{text}{mask}", "{prompt:1}{text}{prompt:2}{mask}{prompt:3}{prompt:4}"),
        ("{text} {mask}", "{prompt:1}{text}{prompt:2} {mask}{prompt:3}{prompt:4}"),
        ("{text} It was", "{prompt:1}{text} It was{prompt:9}"),
        ("{text} {choice}", "{prompt:10}{text} {choice}"),
    ],
)
def test_places_around_text_and_answer(source: str, expected: str) -> None:
    found = surrounded(Template.parse(source), (1, 2, 3, 4))
    assert str(found) == expected
    masks = [piece for piece in found.render({"text": "a"}, "b") if isinstance(piece, Mask)]
    assert all(mask.space == (" {mask}" in source) for mask in masks)


@pytest.mark.parametrize("family", ["t5", "llama"])
def test_absent_candidates_leave_no_nan_in_a_mixtures_gradient(family: str) -> None:
    """In training only the right answer is scored, so the others score minus infinity."""
    prompted, readout = made(TASK, family, SoftWords(prompts=("w60 {text} {mask}", "{text} w61 {mask}")))
    assert isinstance(readout, Mixture)
    rows = TASK.rows_of([{"text": text, "label": str(index)} for index, text in enumerate(TEXTS)])
    with prompted:
        batch = readout.collate([readout.encode(row) for row in rows], train=True)
        loss = readout.loss(prompted, batch)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(prompted.prompts[0].table.grad).all()
        assert torch.isfinite(readout.logits.grad).all()
