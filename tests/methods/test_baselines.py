"""What soft prompts are compared with changes nothing of the model, and is refused where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from softprompt.errors import SoftPromptError
from softprompt.methods import HardPrompt
from softprompt.methods import method as method_of
from softprompt.tasks import Task
from softprompt.training.run import train

from ..shared.models import ids, tokenizer
from ..shared.prompts import logits, model, tiny
from ..shared.runs import run, task

EXAMPLES = {
    "hard_prompt": {"method": "hard_prompt"},
    "head_only": {"method": "head_only"},
    "full_finetuning": {"method": "full_finetuning"},
}


def test_a_hard_prompt_changes_nothing() -> None:
    given = ids(6)
    with tiny("llama", "hard_prompt") as prompted, torch.no_grad():
        found = logits(prompted, given)[0]
    assert torch.equal(found, model("llama")(given).logits[0])


def test_what_is_refused(tmp_path: Path) -> None:
    assert method_of("hard_prompt", templates="{text} a {mask} ;; {text} b {mask}").templates == (
        "{text} a {mask}",
        "{text} b {mask}",
    )
    with pytest.raises(SoftPromptError, match="calibration"):
        method_of("hard_prompt", calibration="mean")
    with pytest.raises(SoftPromptError, match="names the field 'review'"):
        run(tmp_path / "a", "llama", HardPrompt(templates=("{review} {mask}",)))
    folder = tmp_path / "b" / "data"
    task(folder)
    free = Task(kind="regression", template="{text} {mask}", labels={"0": "w10", "1": "w11"}, bounds=(0, 1))
    with pytest.raises(SoftPromptError, match="only the scores of classes are calibrated"):
        train(
            model("llama"), tokenizer(), free.with_data(folder / "rows.jsonl", seed=1),
            HardPrompt(calibration="median"), output=tmp_path / "c", progress=False,
        )  # fmt: skip
