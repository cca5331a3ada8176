"""Tensors in files under keys that say all that they were computed from, so that whoever computes them again need not.

A file is named by its key and is there as a whole or not at all: it comes by a rename, and its sum is looked at before
it is used. So nothing in it can be stale, whoever wrote it and whenever; a file that is damaged is made again. It is
mapped, so that the system holds of it in memory what there is room for, once for all processes that read it.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from xxhash import xxh3_128_hexdigest

from softprompt.files import strict_json
from softprompt.files.scratch import scratch_file
from softprompt.files.tensors import write_tensors

_SUM, _ENDING = "xxh3", ".safetensors"


class KeptFiles:
    """The files of one folder.

    Attributes:
        folder: that holds them, and nothing else; it is made with the first of them.
        left: bytes that may still be written: half of what the disk had free.
    """

    def __init__(self, folder: Path) -> None:
        """Nothing is read or written yet."""
        self.folder = folder
        self.left = _free(folder) // 2

    def read(self, key: str) -> list[Tensor] | None:
        """What stands under a key, mapped, on the CPU; None where nothing does, or nothing that is whole."""
        path = self._path(key)
        try:
            with safe_open(path, framework="pt") as file:
                found: list[Tensor] = [file.get_tensor(str(place)) for place in range(len(file.keys()))]
                whole = (file.metadata() or {}).get(_SUM) == _sum(found)
        except (OSError, SafetensorError):
            return None
        return found if whole else None

    def write(self, key: str, tensors: Sequence[Tensor]) -> bool:
        """Put tensors under a key; whether there was room on the disk."""
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        if size > self.left:
            return False
        named = {str(place): tensor for place, tensor in enumerate(tensors)}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with scratch_file(self.folder) as (path, _):
                write_tensors(path, named, {_SUM: _sum(tensors)})
                path.replace(self._path(key))
        except (OSError, SafetensorError):
            self.left = 0  # somebody else filled it, or it may not be written
            return False
        self.left -= size
        return True

    def forget(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, key: str) -> Path:
        return self.folder / (key + _ENDING)


def key_of(*parts: object) -> str:
    """A key that two lists of parts share where they are equal: BLAKE2b, 128 bits.

    Args:
        *parts: tensors, None, numbers, texts, and tuples, lists and dictionaries of these.

    Raises:
        TypeError: a part is something else.
    """
    told = strict_json.dumps(_plain(parts), indent=None, sorted_names=True)
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def _plain(part: object) -> object:
    if isinstance(part, Tensor):
        return [str(part.dtype), list(part.shape), _sum([part])]
    if isinstance(part, (list, tuple)):
        return [_plain(one) for one in part]
    if isinstance(part, Mapping):
        return {str(name): _plain(one) for name, one in part.items()}
    if part is None or isinstance(part, (str, int, float)):
        return part
    raise TypeError(f"{type(part).__name__} is no part of a key")


def _sum(tensors: Sequence[Tensor]) -> str:
    """Over every byte of some tensors, their types and shapes apart."""
    flat = (one.detach().cpu().contiguous().flatten().view(torch.uint8) for one in tensors)
    return " ".join(xxh3_128_hexdigest(one.numpy().data) for one in flat)


def _free(folder: Path) -> int:
    """Bytes that are free where a folder is, or will be."""
    with suppress(OSError):  # the current folder is gone, say
        places = (folder, *folder.absolute().parents)
        return shutil.disk_usage(next(place for place in places if place.is_dir())).free
    return 0
