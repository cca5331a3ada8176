"""Tensors are known by a file's header, which is never believed."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import save_file

import softprompt as sp
from softprompt.errors import SoftPromptError
from softprompt.files.forms import read_forms
from softprompt.methods.baselines import HardPrompt

from ..shared.models import model, tokenizer
from ..shared.runs import run


def test_a_calibration_that_was_found_is_not_left_out(tmp_path: Path) -> None:
    folder = run(tmp_path, "llama", HardPrompt(calibration="median")).folder / "prompt"
    assert read_forms(folder / "prompt.safetensors").keys() == {"head.calibration"}
    save_file({}, folder / "prompt.safetensors")
    with pytest.raises(SoftPromptError, match=r"prompt.safetensors: tensor 'head.calibration' is missing"):
        sp.load(folder, model("llama"), tokenizer())
