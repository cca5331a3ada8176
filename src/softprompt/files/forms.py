"""Types and shapes of stored tensors, read off a file's header before a byte of theirs is."""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.files.documents import plain

# Far above a prompt's: 100,000 tensors have 10 MB of names and shapes.
_LONGEST_HEADER = 16 << 20
_NAMES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


@dataclass(frozen=True)
class TensorForm:
    """What a tensor is besides its values.

    Attributes:
        dtypes: the types that it may have, as safetensors names them; of a stored one its own.
        shape: its sizes; None where any will do.
    """

    dtypes: tuple[str, ...]
    shape: tuple[int | None, ...]

    @classmethod
    def of(cls, tensor: Tensor, also: Iterable[str] = ()) -> TensorForm:
        """The form of a tensor, which may be on the `meta` device.

        Args:
            tensor: gives type and shape.
            also: names of further types that will do, as torch has them.
        """
        names = [str(tensor.dtype).removeprefix("torch."), *also]
        return cls(tuple(dict.fromkeys(_NAMES.get(name, name) for name in names)), tuple(tensor.shape))


def read_forms(path: Path) -> dict[str, TensorForm]:
    """The form of every tensor in a safetensors file.

    Raises:
        SoftPromptError: no such file, or sizes and offsets in its header that are not the file's own.
    """
    try:
        _check_length(path)
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {name: TensorForm((one.get_dtype(),), tuple(one.get_shape())) for name, one in slices.items()}
    except FileNotFoundError:
        raise SoftPromptError(
            f"{path}: no such file; a prompt folder holds prompt.safetensors and prompt.json"
        ) from None
    except (SafetensorError, OSError, ValueError) as error:
        reason = plain(error, quote=False)
        raise SoftPromptError(f"{path}: damaged or truncated ({reason}): save or copy it again") from None


def check_forms(
    path: Path, found: Mapping[str, TensorForm], expected: Mapping[str, TensorForm], optional: Iterable[str] = ()
) -> None:
    """Make sure that a file holds the tensors that are expected and no others.

    Raises:
        SoftPromptError: a tensor is missing, is one too many, or has another type or shape.
    """
    for name, form in expected.items():
        if name not in found:
            if name in optional:
                continue
            raise SoftPromptError(f"{path}: tensor {plain(name)} is missing: save the prompt again")
        own = found[name]
        if len(own.shape) != len(form.shape) or any(
            size not in (None, given) for size, given in zip(form.shape, own.shape, strict=True)
        ):
            raise SoftPromptError(
                f"{path}: tensor {plain(name)} has shape {own.shape}, but prompt.json asks for {_told(form.shape)}: "
                "restore both files or save the prompt again"
            )
        if own.dtypes[0] not in form.dtypes:
            raise SoftPromptError(
                f"{path}: tensor {plain(name)} is {own.dtypes[0]}, but a prompt's is {' or '.join(form.dtypes)}: "
                "save the prompt again"
            )
    extra = next((name for name in found if name not in expected), None)
    if extra is not None:
        raise SoftPromptError(
            f"{path}: tensor {plain(extra)} is none of those that prompt.json asks for: restore both files or save the "
            "prompt again"
        )


def _told(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"


def _check_length(path: Path) -> None:
    """Safetensors itself takes headers of 100 MB, and reads from whatever gives bytes."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no file")
    with path.open("rb") as file:
        start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if not 2 <= length <= min(found.st_size - 8, _LONGEST_HEADER):
        raise ValueError("no header of safetensors in it")
