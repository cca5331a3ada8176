"""Where rows began: the words of the first values, and the way from there, against what a training really did."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

import softprompt as sp
from softprompt.explain.beginning import words_apart
from softprompt.explain.nearest import lines_of, nearest_words
from softprompt.storage.vectors import input_rows

from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS
from ..shared.runs import run

FAR = {"max_steps": 3, "learning_rate": 0.5}
STILL = {"max_steps": 1, "learning_rate": 1e-9}


def vocabulary(family: str = "llama") -> torch.Tensor:
    with torch.no_grad():
        return model(family).get_input_embeddings()(torch.arange(100)).float()


def words(*names: str) -> torch.Tensor:
    return vocabulary()[tokenizer().convert_tokens_to_ids(list(names))]


def test_the_distance_between_words_is_that_of_all_pairs() -> None:
    table = vocabulary()
    pairs = torch.cdist(table.double(), table.double()).square().mean()  # a word and itself among them, as drawn twice
    assert words_apart(table) == pytest.approx(float(pairs.sqrt()), rel=1e-6)


def test_a_row_tells_its_word_and_how_far_it_is_from_it(tmp_path: Path) -> None:
    method = sp.PromptTuning(num_virtual_tokens=3, init="text", init_text="w21 w22 w23")
    done = run(tmp_path, "llama", method, **FAR)
    found = nearest_words(done.prompt)
    assert [row.start for row in found.rows] == ["w21", "w22", "w23"]
    rows = input_rows(done.prompt.producer, 32)
    assert rows is not None
    way = (rows - words("w21", "w22", "w23")).norm(dim=-1) / words_apart(vocabulary())
    assert [row.moved for row in found.rows] == pytest.approx(way.tolist(), rel=1e-4)
    assert nearest_words(sp.load(tmp_path / "run" / "prompt", model("llama"), tokenizer())) == found


def test_label_words_and_drawn_words_are_found_and_a_draw_of_numbers_is_no_word(tmp_path: Path) -> None:
    labelled = run(tmp_path / "a", "bert", sp.PromptTuning(num_virtual_tokens=3, init="class_labels"), **FAR)
    starts = [row.start for row in nearest_words(labelled.prompt).rows]
    assert starts[:2] == ["w10", "w11"]
    assert starts[2] in tokenizer().get_vocab()
    numbers = run(tmp_path / "b", "bert", sp.PromptTuning(num_virtual_tokens=2, init="random_uniform"), **FAR)
    found = nearest_words(numbers.prompt)
    assert [row.start for row in found.rows] == [None, None]
    assert found.note == "its rows started from no words"
    assert all(row.moved is not None and row.moved > 0.01 for row in found.rows)


def test_it_is_said_where_nothing_moved(tmp_path: Path) -> None:
    found = nearest_words(run(tmp_path, "llama", sp.PromptTuning(num_virtual_tokens=2), **STILL).prompt)
    assert [row.neighbours[0].token for row in found.rows] == [row.start for row in found.rows]
    assert lines_of(found)[0].startswith("nothing moved (less than 0.01)")


def test_a_start_that_cannot_be_drawn_again_is_told_and_its_way_is_known(tmp_path: Path) -> None:
    """From another prompt, and with another seed than the recorded one."""
    first = run(tmp_path / "a", "llama", sp.PromptTuning(num_virtual_tokens=2, init="random_uniform"), **FAR)
    start = input_rows(first.prompt.producer, 32)
    second = run(tmp_path / "b", "llama", sp.PromptTuning(num_virtual_tokens=2), init_from=str(first.folder), **FAR)
    end = input_rows(second.prompt.producer, 32)
    assert start is not None
    assert end is not None
    found = nearest_words(second.prompt)
    assert [row.start for row in found.rows] == [None, None]
    assert "cannot be drawn again" in (found.note or "")
    assert [row.moved for row in found.rows] == pytest.approx(
        ((end - start).norm(dim=-1) / found.apart).tolist(), rel=1e-4
    )
    other = dataclasses.replace(second.prompt, meta={**second.prompt.meta, "seed": 99})
    assert [row.start for row in nearest_words(other).rows] == [None, None]


def test_what_was_not_recorded_is_not_guessed(tmp_path: Path) -> None:
    done = run(tmp_path, "llama", sp.PromptTuning(num_virtual_tokens=2), **FAR)
    without = {name: value for name, value in done.prompt.meta.items() if name != "moved"}
    found = nearest_words(dataclasses.replace(done.prompt, meta=without))
    assert [(row.start, row.moved) for row in found.rows] == [(None, None)] * 2
    assert "was not recorded" in (found.note or "")


@pytest.mark.parametrize("method", ["residual_prompt", "p_tuning", "superpos", "dept", "instruction", "warp"])
def test_every_method_of_the_input_records_its_way(method: str, tmp_path: Path) -> None:
    family = "bert" if method == "warp" else "llama"
    done = run(tmp_path, family, METHODS[method], **FAR)
    record = json.loads((tmp_path / "run" / "prompt" / "prompt.json").read_text())
    found = nearest_words(done.prompt)
    assert len(record["moved"]) == len(found.rows)
    assert "cannot be drawn again" not in (found.note or "")


def test_training_draws_no_more_than_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To look at a net with dropout before the first step changes no byte of the prompt."""
    method: Any = sp.ResidualPrompt(num_virtual_tokens=2, bottleneck=8, dropout=0.5)
    seen = run(tmp_path / "a", "llama", method).folder
    monkeypatch.setattr("softprompt.training.run.rows_in_input", lambda work: None)
    blind = run(tmp_path / "b", "llama", method).folder
    one, other = ((folder / "prompt" / "prompt.safetensors").read_bytes() for folder in (seen, blind))
    assert one == other
