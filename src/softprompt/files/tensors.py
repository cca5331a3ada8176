"""Tensors that are checked when read. No pickle anywhere."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from softprompt.errors import SoftPromptError


def write_tensors(path: Path, tensors: dict[str, Tensor], told: dict[str, str] | None = None) -> None:
    """Write tensors as safetensors: the same tensors give the same bytes. Each is written whole, tied ones, too.

    Args:
        path: of the file.
        tensors: by name.
        told: texts that the header holds beside them.

    Raises:
        OSError, SafetensorError: the place cannot be written.
    """
    own, seen = dict[str, Tensor](), set[int]()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        own[name] = tensor.clone() if tensor.data_ptr() in seen else tensor  # the format refuses shared memory
        seen.add(tensor.data_ptr())
    save_file(own, path, told)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors and check that each is finite.

    Raises:
        SoftPromptError: no such file, a truncated file, or a value that is not finite.
    """
    if not path.is_file():
        raise SoftPromptError(f"{path}: no such file; a prompt folder holds prompt.safetensors and prompt.json")
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise SoftPromptError(f"{path}: damaged or truncated ({error}); save or copy it again") from None
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise SoftPromptError(
                f"{path}: tensor {name!r} holds NaN or infinity; train it again with a lower learning_rate"
            )
    return tensors
