"""The two files of a PEFT checkpoint, `adapter_config.json` and `adapter_model.safetensors`, opened and looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from torch import Tensor, nn

from softprompt.errors import SoftPromptError
from softprompt.files.documents import plain
from softprompt.files.forms import TensorForm
from softprompt.files.places import ADAPTER, ADAPTER_PICKLE, ADAPTER_WEIGHTS
from softprompt.methods.base import Method
from softprompt.sites.producer import Producer

COPY_ALL = "copy the whole checkpoint again"
_FLOATS = ("F32", "BF16", "F16")
C = TypeVar("C", bound="PeftConfig")


class PeftConfig(BaseModel):
    """What is read of every `adapter_config.json`."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    peft_type: str
    task_type: str | None = None
    base_model_name_or_path: str | None = None

    @property
    def told(self) -> dict[str, JsonValue]:
        """What a prompt keeps of where it comes from."""
        return self.model_dump(mode="json", include={"peft_type", "task_type", "base_model_name_or_path"})


@dataclass(frozen=True)
class PeftPrompt:
    """A checkpoint of PEFT in the terms of this library.

    Attributes:
        method: with the options that it was made with, as far as they have a part.
        producer: its vectors, fp32.
        report: what else the checkpoint tells of itself.
    """

    method: Method
    producer: Producer
    report: dict[str, JsonValue]


def config_of(kind: type[C], path: Path, values: Mapping[str, object]) -> C:
    """The fields of a configuration.

    Raises:
        SoftPromptError: one is missing, or is not what PEFT writes.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise SoftPromptError(f"{path}: {field}: {plain(first['msg'], quote=False)}: copy it again") from None


def weights_of(folder: Path) -> Path:
    """The file of the tensors.

    Raises:
        SoftPromptError: it is not there, or a pickle is in its place.
    """
    path = folder / ADAPTER_WEIGHTS
    if not path.is_file() and (folder / ADAPTER_PICKLE).exists():
        raise SoftPromptError(
            f"{folder / ADAPTER_PICKLE}: a pickle, which is never loaded: load it with PEFT and save it again, which "
            f"writes {ADAPTER_WEIGHTS}"
        )
    if not path.is_file():
        raise SoftPromptError(f"{path}: no such file, but {ADAPTER} belongs to it: copy the whole checkpoint")
    return path


def check_tensors(
    path: Path, kind: str, expected: Mapping[str, tuple[int | None, ...]], forms: Mapping[str, TensorForm], head: str
) -> None:
    """Make sure that the file holds the tensors of its type.

    Args:
        path: of the file.
        kind: PEFT's name of the type, for the message.
        expected: shapes by name; None stands for any length.
        forms: what is there.
        head: names that begin so are of a head, which is compared with the model's.

    Raises:
        SoftPromptError: one is missing, is one too many, or has another type or shape.
    """
    for name, shape in expected.items():
        if name not in forms:
            raise SoftPromptError(f"{path}: tensor {plain(name)} is missing: {COPY_ALL}")
        found = forms[name]
        if len(found.shape) != len(shape) or any(a not in (None, b) for a, b in zip(shape, found.shape, strict=True)):
            told = f"has shape {found.shape}, which {ADAPTER} does not ask for"
            raise SoftPromptError(f"{path}: tensor {plain(name)} {told}: {COPY_ALL}")
        if found.dtypes[0] not in _FLOATS:
            told = f"is {found.dtypes[0]}, but a prompt's is F32"
            raise SoftPromptError(f"{path}: tensor {plain(name)} {told}: {COPY_ALL}")
    for name in forms:
        if name not in expected and not name.startswith(head):
            raise SoftPromptError(f"{path}: tensor {plain(name)} is none of a {kind}'s: {COPY_ALL}")


@torch.no_grad()
def check_head(path: Path, tensors: Mapping[str, Tensor], head: str, model: nn.Module) -> None:
    """The head that was trained along must stand in the model: its answers would be another head's.

    Args:
        path: of the file.
        tensors: of the head, and no others.
        head: what stands in front of their names in the model.
        model: whose head is looked at.

    Raises:
        SoftPromptError: the model has none of that name, or another.
    """
    own = dict(model.named_parameters())
    for name, stored in tensors.items():
        place = name.removeprefix(head)
        mine = own.get(place)
        if mine is None or mine.shape != stored.shape or not torch.equal(stored.to(mine.dtype), mine.cpu()):
            raise SoftPromptError(
                f"{path}: holds {plain(place)}, trained with the prompt, and the model's own is another: copy what "
                f"begins with {head!r} there into the model first (docs: From PEFT)"
            )
