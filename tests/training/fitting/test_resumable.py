"""A model is trained on the device where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainingArguments

from softprompt.training.fitting import resumable
from softprompt.training.fitting.resumable import arguments

from ...shared.prompts import METHODS
from ...shared.runs import run


@pytest.mark.parametrize("device", ["cuda:0", "cuda:1"])
def test_of_two_gpus_the_model_s_own_is_taken_and_no_other(
    device: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen: list[torch.device] = []

    def first_of_two(self: Any) -> torch.device:
        self._n_gpu, self.distributed_state = 2, None
        return torch.device("cuda:0")

    monkeypatch.setattr(vars(TrainingArguments)["_setup_devices"], "func", first_of_two)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    found = arguments(tmp_path, torch.device(device), 13)
    assert (found.device, found.n_gpu) == (torch.device(device), 1)
    assert chosen == [torch.device(device)]


def test_on_the_cpu_no_gpu_is_asked(tmp_path: Path) -> None:
    found = arguments(tmp_path, torch.device("cpu"), 13)
    assert (found.device, found.n_gpu, found.train_batch_size) == (torch.device("cpu"), 0, 8)


def test_holes_are_given_back_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(resumable, "_HOLES", 3)
    monkeypatch.setattr(resumable, "give_back", lambda: given.append(1))
    run(tmp_path, "llama", METHODS["capt"], max_steps=7, evaluations=1)
    assert len(given) == 2
