"""What a process has set for its own tensors has no part in prompts, and stays set."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import torch

import softprompt as sp
from softprompt.backbones.settings import usual_settings
from softprompt.methods import PromptTuning, PTuning
from softprompt.methods.base import Method

from ..shared.models import ids, model, tokenizer
from ..shared.runs import QUICK, task


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


SETTINGS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "a default type": lambda: default_dtype(torch.bfloat16),
    "a default device": lambda: default_device("meta"),  # as "cuda", whose generators are not the CPU's
    "no gradients": torch.no_grad,
    "inference mode": torch.inference_mode,
}


def drawn(method: Method, folder: Path | None = None) -> dict[str, torch.Tensor]:
    """A new prompt's tensors, or those of one that was stored and read; each of them trains."""
    if folder is None:
        prompted = sp.attach(model("llama"), tokenizer(), method, seed=1)
    else:
        prompted = sp.load(folder, model("llama"), tokenizer()).attach()
    with prompted, torch.inference_mode(False), torch.enable_grad(), torch.device("cpu"):
        prompted(input_ids=ids(4), labels=ids(4)).loss.backward()
        assert all(one.grad is not None for one in prompted.prompts.parameters())
        return {name: one.clone() for name, one in prompted.prompts.state_dict().items()}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("method", [PromptTuning(num_virtual_tokens=2), PTuning(num_virtual_tokens=2)], ids=str)
def test_a_prompt_is_drawn_and_read_as_ever(method: Method, setting: str, tmp_path: Path) -> None:
    expected = drawn(method)
    with sp.attach(model("llama"), tokenizer(), method, seed=1) as prompted:
        prompted.save_pretrained(tmp_path / "kept")
    read = drawn(method, tmp_path / "kept")
    with SETTINGS[setting]():
        for found, wanted in ((drawn(method), expected), (drawn(method, tmp_path / "kept"), read)):
            assert {one.dtype for one in found.values()} == {torch.float32}
            assert all(torch.equal(found[name].cpu(), one) for name, one in wanted.items())


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_training_is_the_same(setting: str, tmp_path: Path) -> None:
    def trained(folder: Path) -> bytes:
        run = sp.train(
            model("llama"), tokenizer(), task(tmp_path), "prompt_tuning", output=folder, progress=False, **QUICK
        )
        return (run.folder / "prompt" / "prompt.safetensors").read_bytes()

    expected = trained(tmp_path / "expected")
    with SETTINGS[setting]():
        assert trained(tmp_path / "found") == expected


def test_settings_are_left_as_they_were_by_the_last_of_several_threads() -> None:
    inside, leave = threading.Barrier(2), threading.Event()

    def other() -> None:
        with usual_settings():
            inside.wait()
            leave.wait()

    with default_dtype(torch.float64):
        thread = threading.Thread(target=other)
        thread.start()
        inside.wait()
        with usual_settings():
            pass
        assert torch.get_default_dtype() == torch.float32  # the other is still inside
        leave.set()
        thread.join()
        assert torch.get_default_dtype() == torch.float64
