"""The manifest of a folder: the size and the checksum of each file as it was written, against which it is read back.

`manifest.json` holds `{"files": {name: {"bytes": n, "sha256": hex}}}`; `sha256sum` computes the same. A JSON file that
stands alone carries the checksum of the rest of it under `sha256` instead (`sealed`, `prove`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from softprompt.errors import SoftPromptError
from softprompt.files import strict_json
from softprompt.guards.documents import json_value
from softprompt.guards.paths import check_file

MANIFEST, SEAL = "manifest.json", "sha256"
_PIECE = 1 << 20
Value = TypeVar("Value")


class Written(BaseModel):
    """One file as it was written."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """All files of a folder by their paths in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    files: dict[str, Written]


def manifest_of(folder: Path) -> str:
    """The text of the manifest of what a folder holds now."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): _written(path) for path in paths}
    return strict_json.dumps(Manifest(files=files).model_dump()) + "\n"


def named(folder: Path) -> tuple[str, ...]:
    """The files that a folder's manifest names.

    Raises:
        SoftPromptError: there is no manifest, or a damaged one.
    """
    return tuple(_read(folder / MANIFEST).files)


def check_files(folder: Path, names: Iterable[str]) -> None:
    """Read files back against the folder's manifest.

    Args:
        folder: with a manifest.
        names: of the files in it that are about to be used.

    Raises:
        SoftPromptError: a file is missing, or differs from what was written, or the manifest does.
    """
    expected = _read(folder / MANIFEST).files
    for name in names:
        path = folder / name
        if name not in expected:
            raise SoftPromptError(f"{folder / MANIFEST}: does not name {name}: copy or write the folder again")
        if path.exists():
            check_file(path)  # a pipe would wait for ever, a device never end
        try:
            found = _written(path)
        except OSError as error:
            raise SoftPromptError(f"{path}: cannot be read ({error.strerror}): copy or write it again") from None
        if found.bytes != expected[name].bytes:
            raise SoftPromptError(
                f"{path}: has {found.bytes:,} bytes, but {expected[name].bytes:,} were written ({MANIFEST}): copy or "
                "write it again"
            )
        if found != expected[name]:
            raise SoftPromptError(
                f"{path}: differs from what was written (its checksum in {MANIFEST}): copy or write it again; if the "
                f"change is meant, remove {MANIFEST}"
            )


def sealed(value: Mapping[str, Value]) -> dict[str, Value | str]:
    """A JSON object with the checksum of its own content, under `sha256`."""
    return {**value, SEAL: _seal(value)}


def prove(value: Mapping[str, object], path: Path) -> None:
    """Prove the checksum that `sealed` gave an object; one without it, from an earlier version, passes.

    Raises:
        SoftPromptError: the content differs from what was written.
    """
    content = {name: one for name, one in value.items() if name != SEAL}
    if SEAL in value and value[SEAL] != _seal(content):
        raise SoftPromptError(
            f"{path}: differs from what was written (its {SEAL!r}): copy or write it again; if the change is meant, "
            f"take {SEAL!r} out"
        )


def _seal(value: Mapping[str, object]) -> str:
    return hashlib.sha256(strict_json.dumps(value, indent=None).encode()).hexdigest()


def _read(path: Path) -> Manifest:
    if path.exists():
        check_file(path)
    try:
        return Manifest.model_validate(json_value(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise SoftPromptError(f"{path}: no such file: copy or write the folder again") from None
    except (OSError, ValueError, ValidationError):
        raise SoftPromptError(f"{path}: damaged: copy or write the folder again") from None


def _written(path: Path) -> Written:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return Written(bytes=size, sha256=digest.hexdigest())
