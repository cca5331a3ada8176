"""Checkpoints that PEFT writes, and what it answers with them."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from .models import ENCODER_DECODERS, ids


def checkpoint(folder: Path, base: nn.Module, config: Any) -> Any:
    """Save a prompt of PEFT whose every value matters, and give PEFT's own model with it."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(1)
        made = peft.get_peft_model(copy.deepcopy(base), config)
        with torch.no_grad():
            for parameter in made.parameters():
                if parameter.requires_grad and parameter.ndim > 1:
                    parameter.normal_(0, 0.3)
        made.save_pretrained(folder)
        return peft.PeftModel.from_pretrained(copy.deepcopy(base), folder).eval()


def head_from(folder: Path, base: Any, begin: str = "base_model.") -> Any:
    """The model with the head that was trained along, as `docs/peft.md` copies it."""
    own = copy.deepcopy(base)
    stored = load_file(folder / "adapter_model.safetensors")
    head = {name.removeprefix(begin): one for name, one in stored.items() if name.startswith(begin)}
    own.load_state_dict(head, strict=False)
    return own


def logits(target: Any, family: str, **more: Any) -> Tensor:
    given = {"input_ids": ids(6), "attention_mask": torch.ones(1, 6, dtype=torch.long), **more}
    if family in ENCODER_DECODERS:
        given["decoder_input_ids"] = ids(3, 1)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: Tensor = target(**given).logits
    return found
