"""A trained instruction put back into words: what became of each row, and what the words cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from softprompt.errors import SoftPromptError
from softprompt.explain.discretise import discretise, drift
from softprompt.storage.prompt import Prompt
from softprompt.training.run import Run

from ..shared.prompts import call, close
from ..shared.runs import run, task

TEXT, IDS = "w30 w41 w52", (30, 41, 52)


def trained(folder: Path, family: str = "llama", **options: Any) -> Run:
    from softprompt.methods import Instruction

    given = {name: options.pop(name) for name in ("prefix", "init_std") if name in options}
    return run(folder, family, Instruction(text=TEXT, **given), **{"max_steps": 1, "evaluations": 1, **options})


def moved(prompt: Prompt, to: tuple[int, ...], length: float = 1.0) -> Prompt:
    """Its rows set to the embeddings of other words, `length` times as long."""
    embed = prompt.model.get_input_embeddings()
    with torch.no_grad():
        prompt.producer.table.copy_(embed(torch.tensor(to)) * length)
    return prompt


def test_rows_at_rest(tmp_path: Path) -> None:
    found = drift(moved(trained(tmp_path).prompt, IDS))
    assert [one.word for one in found] == ["w30", "w41", "w52"]
    assert [one.nearest.id for one in found] == list(IDS)
    assert [one.drift for one in found] == [0.0] * 3
    assert [one.cosine for one in found] == pytest.approx([1.0] * 3)


def test_drift_is_the_distance_from_the_word(tmp_path: Path) -> None:
    prompt = moved(trained(tmp_path).prompt, (30, 60, 52), 2.0)
    embed = prompt.model.get_input_embeddings().weight.detach()
    first, second, third = drift(prompt)
    assert first.drift == pytest.approx(float(embed[30].norm()), rel=1e-5)
    assert first.cosine == pytest.approx(1.0)
    assert second.nearest.id == 60
    assert second.nearest.cosine == pytest.approx(1.0)
    assert second.drift == pytest.approx(float((2 * embed[60] - embed[41]).norm()), rel=1e-5)
    assert second.cosine == pytest.approx(float(torch.cosine_similarity(embed[60], embed[41], dim=0)), abs=1e-5)
    assert third.row == 2


def test_special_tokens_are_no_words(tmp_path: Path) -> None:
    prompt = moved(trained(tmp_path).prompt, (0, 41, 52))
    assert drift(prompt)[0].nearest.id > 4


@pytest.mark.parametrize("readout", ["text", "head"])
def test_the_cost_is_that_of_the_text(tmp_path: Path, readout: str) -> None:
    """Rows that are words already, only longer, lose what their length does; the trained prompt stays as it is."""
    done = trained(tmp_path, prefix=2, init_std=1.0, readout=readout)
    rows = task(tmp_path / "data").splits(3).train
    prompt = moved(done.prompt, (33, 44, 55), 3.0)
    stored = {name: value.clone() for name, value in prompt.producer.stored().items()}
    found = discretise(prompt, rows, batch_size=4)
    assert found.text == "w33 w44 w55"
    assert found.faithful
    assert found.before["rows"] == found.after["rows"] == len(rows)
    assert found.cost == pytest.approx(found.before["accuracy"] - found.after["accuracy"])
    assert found.before["loss"] != pytest.approx(found.after["loss"], rel=1e-3)
    for name, value in prompt.producer.stored().items():
        assert torch.equal(value, stored[name])
    again = discretise(moved(prompt, (33, 44, 55)), rows)
    assert again.cost == 0.0
    assert again.before["loss"] == pytest.approx(again.after["loss"], rel=1e-5)
    with found.prompt.attach() as prompted, torch.no_grad():
        one = call(prompted, torch.tensor([[1, 70, 71]])).logits
    with prompt.attach() as prompted, torch.no_grad():
        close(call(prompted, torch.tensor([[1, 70, 71]])).logits, one, 1e-6)


def test_what_has_no_words(tmp_path: Path) -> None:
    from softprompt.methods import PromptTuning

    other = run(tmp_path / "a", "llama", PromptTuning(num_virtual_tokens=2), max_steps=1, evaluations=1)
    for use in (drift, lambda prompt: discretise(prompt, [])):
        with pytest.raises(SoftPromptError, match="'prompt_tuning' trains no task text.*'instruction'"):
            use(other.prompt)
    with pytest.raises(SoftPromptError, match="labelled rows"):
        discretise(trained(tmp_path / "b").prompt, [])
