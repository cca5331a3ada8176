"""Files that are written beside and renamed into place, and tensors that are checked when read. No pickle anywhere."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from softprompt.errors import SoftPromptError


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Fill a fresh folder beside `folder`, which takes its place in one rename once it is complete.

    Whatever fails, what `folder` held before is still there.

    Raises:
        SoftPromptError: the place cannot be written (no rights, full disk).
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise unwritable(folder, error) from None
    try:
        beside.chmod(0o755)
        yield beside
        _swap(beside, folder)
    except OSError as error:
        raise unwritable(folder, error) from None
    except SafetensorError as error:
        raise SoftPromptError(f"{folder}: cannot be written ({error}); free space or choose another folder") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _swap(beside: Path, folder: Path) -> None:
    if not folder.exists():
        beside.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    folder.rename(old / folder.name)
    try:
        beside.rename(folder)
    except OSError:
        (old / folder.name).rename(folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON beside and rename it into place.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text beside and rename it into place.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        SoftPromptError: no such file, or no JSON object in it.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SoftPromptError(f"{path}: no such file; is this the folder of a finished run or prompt?") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SoftPromptError(f"{path}: cannot be read as JSON ({error}); save it again") from None
    if not isinstance(value, dict):
        raise SoftPromptError(f"{path}: holds no JSON object; save it again")
    return value


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors as safetensors: the same tensors give the same bytes."""
    save_file({name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}, path)


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


def unwritable(path: Path, error: OSError) -> SoftPromptError:
    """The one line for a place that cannot be written."""
    reason = error.strerror or str(error)
    return SoftPromptError(f"{path}: cannot be written ({reason}); free space or choose another place")
