"""Attributions of a row's tokens: complete, and each ablation the difference of two answers' scores."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from softprompt.attached.attach import attach
from softprompt.errors import SoftPromptError
from softprompt.explain.report.why import attributed, why_section
from softprompt.methods import method
from softprompt.sites.modes import evaluating

from ...shared.runs import run


@pytest.mark.parametrize("name", ["prompt_tuning", "capt"])
def test_gradients_are_complete_and_ablations_are_differences(name: str, tmp_path: Path) -> None:
    pytest.importorskip("captum", reason="pip install 'softprompt[explain]'")
    made = run(tmp_path, "llama", method(name, num_virtual_tokens=2), max_steps=4)
    prompt = made.prompt
    assert prompt.task is not None
    assert prompt.readout is not None
    row = prompt.task.with_data(tmp_path / "data" / "rows.jsonl").splits(3).test[0]
    found = attributed(prompt, row)
    assert found.virtual == 2
    assert len(found.names) == len(found.gradients) == len(found.ablation)
    assert found.names[-1] == row.fields["text"].split()[-1]
    assert abs(found.error) < 0.05 * max(0.05, abs(found.whole - found.none))
    # With all gates open the score is the model's own.
    with attach(prompt.backbone, prompt) as prompted, evaluating(prompted, prompt.readout), torch.no_grad():
        batch = prompt.readout.collate([prompt.readout.encode(row)])
        own = prompt.readout.scores(prompt.readout.outputs(prompted, batch, None), batch)[0]
    assert found.whole == pytest.approx(float(own.max()), abs=1e-4)
    section = why_section(prompt, row, 1, "0")
    assert "miss" in section.parts[0].pairs[1][1]  # type: ignore[union-attr]


def test_the_answer_is_the_one_that_a_calibration_chose(tmp_path: Path) -> None:
    pytest.importorskip("captum", reason="pip install 'softprompt[explain]'")
    prompt = run(tmp_path, "llama", method("prompt_tuning", num_virtual_tokens=2), max_steps=1).prompt
    assert prompt.task is not None
    assert prompt.readout is not None
    row = prompt.task.with_data(tmp_path / "data" / "rows.jsonl").splits(3).test[0]
    before = prompt.predict([row.fields["text"]])[0]
    plain = attributed(prompt, row)
    other = 1 - [*prompt.task.labels].index(before)
    prompt.readout.calibration = 100.0 * torch.nn.functional.one_hot(torch.tensor(other), 2)
    assert prompt.predict([row.fields["text"]])[0] != before
    with attach(prompt.backbone, prompt) as prompted, evaluating(prompted, prompt.readout), torch.no_grad():
        batch = prompt.readout.collate([prompt.readout.encode(row)])
        own = prompt.readout.scores(prompt.readout.outputs(prompted, batch, None), batch)[0]
    assert attributed(prompt, row).whole == pytest.approx(float(own[other]), abs=1e-4)
    assert plain.whole == pytest.approx(float(own[1 - other]), abs=1e-4)


def test_without_captum_a_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run(tmp_path, "llama", method("prompt_tuning", num_virtual_tokens=2), max_steps=1)
    assert made.prompt.task is not None
    row = made.prompt.task.with_data(tmp_path / "data" / "rows.jsonl").splits(3).test[0]
    monkeypatch.setattr("softprompt.explain.report.why.find_spec", lambda name: None)
    with pytest.raises(SoftPromptError, match=r"softprompt\[explain\]"):
        attributed(made.prompt, row)
    assert "Captum is not installed" in why_section(made.prompt, row, 1, "0").lines[0]
