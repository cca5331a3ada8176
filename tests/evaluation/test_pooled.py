"""CaPT's Finding II: pooled tokens in front of trained deep prompts, against the layers' loop written independently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d

import softprompt as sp
from softprompt.attached.attach import attach, build
from softprompt.errors import SoftPromptError
from softprompt.evaluation.pooled import WithPooled, pooled_metrics, with_pooled
from softprompt.evaluation.score import metrics_of
from softprompt.methods import DeepPrompt
from softprompt.methods import method as method_of
from softprompt.methods.deep_prompt import LayerTable
from softprompt.tasks import Row

from ..shared.by_hand import ByHand, neutral
from ..shared.models import ids, model, padded, tokenizer
from ..shared.prompts import TARGET, close, logits
from ..shared.runs import run, task

ROWS = [ids(7, 1), ids(4, 2), ids(2, 3)]  # the last has fewer tokens than are pooled


def deep(family: str, select: str = "all") -> LayerTable:
    method = DeepPrompt(num_virtual_tokens=2, init="normal", init_std=0.7, select=select)
    made = build(model(family), tokenizer(), method)
    assert isinstance(made, LayerTable)
    return made


@pytest.mark.parametrize("family", ["t5", "llama", "bert"])
@pytest.mark.parametrize("select", ["all", "latter_half"])
@pytest.mark.parametrize("pooled", [1, 3])
def test_each_layer_reads_its_own_text_pooled(family: str, select: str, pooled: int) -> None:
    """And it makes no difference to a row how it is padded."""
    own = deep(family, select)
    with attach(model(family), tokenizer(), WithPooled(own, pooled)) as prompted, torch.no_grad():
        found = {
            (side, extra): logits(prompted, *padded(ROWS, side, extra))
            for side in ("left", "right")
            for extra in (0, 5)
        }

    def rule(layer: int, before: Tensor | None, text: Tensor, seen: Tensor) -> Tensor | None:
        if layer not in own.layers:
            return None
        pools = [
            adaptive_avg_pool1d(states[mask.bool()].T[None], pooled)[0].T
            for states, mask in zip(text, seen, strict=True)
        ]
        trained = own.table[own.layers.index(layer)].expand(len(text), -1, -1)
        return torch.cat([torch.stack(pools), trained], dim=1)

    given, mask = padded(ROWS, "right")
    decoder_ids = TARGET.expand(len(ROWS), -1) if family == "t5" else None
    with torch.no_grad():
        hand = ByHand(model(family), given, mask, pooled + 2, decoder_ids, start=neutral(model(family)))
        derived = hand.logits(rule)
    for row, seen, *others in zip(derived, mask, *found.values(), strict=True):
        for one in others:
            close(one, row if family == "t5" else row[seen.bool()], 1e-5)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3"])
def test_no_answer_is_read_by_what_stands_before_it(family: str) -> None:
    """A decoder-only model's pooled tokens stand in front of all, and see of the row what conditions it alone."""
    text, condition = ids(9, 4), torch.tensor([[True] * 6 + [False] * 3])
    other = text.clone()
    other[:, 6:] = (other[:, 6:] + 17) % 90 + 5
    with attach(model(family), tokenizer(), WithPooled(deep(family), 2)) as prompted, torch.no_grad():
        one, two = (prompted(input_ids=given, conditioning_mask=condition).logits for given in (text, other))
        leaking = prompted(input_ids=other).logits
    close(one[:, :6], two[:, :6], 1e-6)
    assert not torch.allclose(one[:, :6], leaking[:, :6], atol=1e-4)


def rows_of(folder: Path) -> list[Row]:
    return task(folder / "data").splits(3).test


@pytest.mark.parametrize(("family", "readout"), [("llama", "text"), ("bert", "head"), ("t5", "text")])
def test_the_scores_are_those_of_the_prompt_made_longer(family: str, readout: str, tmp_path: Path) -> None:
    """None pooled is the evaluation as it is; the head and the rows are those of the run."""
    done = run(tmp_path, family, DeepPrompt(num_virtual_tokens=2), readout=readout, learning_rate=0.1)
    prompt = sp.load(done.folder / "prompt", model(family), tokenizer())
    rows, ticks = rows_of(tmp_path), []
    found = sp.pooled_metrics(prompt, rows, (0, 2, 0), tick=lambda count, **_: ticks.append(count))
    assert [one.pooled for one in found] == [0, 2]
    assert sum(ticks) == 2 * len(rows)
    with prompt.attached() as prompted:
        assert prompt.readout is not None
        assert prompt.task is not None
        assert found[0].scores == metrics_of(prompted, prompt.readout, prompt.task, rows)
    assert found[1].scores["loss"] != found[0].scores["loss"]
    assert found[1].scores["seen_rows"] == 0
    # The same once more, from parts of one's own.
    producer, own = with_pooled(prompt, 2)
    if prompt.readout.stored():
        assert own.stored().keys() == prompt.readout.stored().keys()
        assert all(torch.equal(own.stored()[name], value) for name, value in prompt.readout.stored().items())
    with attach(prompt.backbone, producer) as prompted:
        assert metrics_of(prompted, own, prompt.task, rows) == found[1].scores


def test_pooled_tokens_stand_where_a_template_has_the_trained_ones(tmp_path: Path) -> None:
    method = DeepPrompt(num_virtual_tokens=3)
    counted = {"template": "w7 {prompt:2} {text} {prompt:1} {mask}"}
    whole = task(tmp_path / "data", **counted)
    done = sp.train(
        model("llama"), tokenizer(), whole, method, output=tmp_path / "run", seed=3, max_steps=1, progress=False
    )
    _, readout = with_pooled(done.prompt, 4)
    given = readout.encode(whole.splits(3).test[0]).texts[0].ids
    assert [token for token in given if token < 0] == [-1 - rank for rank in range(7)]
    assert given[1:7] == (-1, -2, -3, -4, -5, -6)
    assert given[-1] == -7


def test_rows_that_lose_text_to_the_pooled_tokens_are_counted(tmp_path: Path) -> None:
    done = run(tmp_path, "llama", DeepPrompt(), max_steps=1, max_length=12)
    found = pooled_metrics(done.prompt, rows_of(tmp_path), (0, 8))
    assert found[0].cut_rows == 0
    assert found[1].cut_rows > 0


def test_what_cannot_have_them_is_refused_in_a_line(tmp_path: Path) -> None:
    capt = run(tmp_path, "llama", "capt", max_steps=1)
    rows = rows_of(tmp_path)
    told = r"in front of the trained vectors of deep_prompt \(CaPT's Finding II\), and this is a prompt of capt: train"
    with pytest.raises(SoftPromptError, match=told):
        pooled_metrics(capt.prompt, rows)
    made: Any = method_of("deep_prompt")
    bare = sp.Prompt(
        made, build(model("llama"), tokenizer(), made), None, None, None, None, model("llama"), tokenizer()
    )  # type: ignore[arg-type]
    for prompt, given, counts, message in (
        (bare, rows, (1,), "give both"),
        (capt.prompt, [], (1,), "give both"),
    ):
        with pytest.raises(SoftPromptError, match=message):
            pooled_metrics(prompt, given, counts)
    deep_run = run(tmp_path / "deep", "llama", made, max_steps=1)
    with pytest.raises(SoftPromptError, match="-1: give whole numbers from 0 on"):
        pooled_metrics(deep_run.prompt, rows, (2, -1))
