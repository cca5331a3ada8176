"""Where a frozen model is read from, and one clear line for whatever is wrong there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from softprompt.backbones.embedded import embedded_folder
from softprompt.errors import SoftPromptError
from softprompt.guards.paths import path_of

_ADAPTER = "adapter:"  # before a name: with the adapter that lies there
# A name on the hub: an owner and a model.
_ON_HUB = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True)
class BackboneSource:
    """Where a model is read from.

    Attributes:
        name: as the user named it.
        path: a folder, or a name on the hub.
        file: the GGUF file in that folder, or None.
        adapter: whether the adapter that lies beside the weights is to be applied.
    """

    name: str
    path: str
    file: str | None = None
    adapter: bool = False

    @property
    def gguf(self) -> dict[str, str]:
        """What transformers' loaders are told of a GGUF file."""
        return {"gguf_file": self.file} if self.file else {}

    def find(self, name: str) -> Path | None:
        """A file of the checkpoint, which is fetched from the hub; None where it has none of that name."""
        folder = Path(self.path)
        if folder.is_dir():
            return folder / name if (folder / name).is_file() else None
        try:
            return Path(hf_hub_download(self.path, name))
        except EntryNotFoundError:
            return None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn whatever the libraries raise while they read into one line.

        Raises:
            SoftPromptError: names the backbone, what is wrong with it and the mend.
        """
        try:
            yield
        except (SoftPromptError, MemoryError, torch.OutOfMemoryError):
            raise
        # safetensors and tokenizers raise bare exceptions.
        except Exception as error:
            raise SoftPromptError(_explain(self, error)) from error


def locate(name: str) -> BackboneSource:
    """Find a backbone by its name; a folder is looked into, the hub is not asked.

    Raises:
        SoftPromptError: nothing can be loaded from there.
    """
    if name.startswith(_ADAPTER):
        return replace(locate(name.removeprefix(_ADAPTER)), name=name, adapter=True)
    if name.startswith("embedded:"):
        return BackboneSource(name, str(embedded_folder(name.removeprefix("embedded:"))))
    path = _path_of(name)
    is_gguf = path.suffix.lower() == ".gguf"
    if path.is_dir():
        _check_folder(path)
        return BackboneSource(name, str(path))
    if path.is_file():
        if not is_gguf:
            raise SoftPromptError(f"backbone {name} is a file: name its folder, or a .gguf file")
        return BackboneSource(name, str(path.parent), path.name)
    if is_gguf or path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise SoftPromptError(f"backbone {name} does not exist: name a folder, a .gguf file or a hub model")
    return BackboneSource(name, name)


def is_local(name: str) -> bool:
    """Whether a backbone's name means something on one machine alone."""
    bare = name.removeprefix(_ADAPTER)
    if bare.startswith("embedded:"):
        return False
    path = Path(bare)
    return path.is_absolute() or bare.startswith((".", "~")) or path.suffix == ".gguf" or path.exists()


def name_alone(name: str) -> str:
    """A backbone's name without the place where it lies: that of its folder or file, or as the hub has it.

    A folder of the hub's own cache, `models--owner--name/snapshots/...`, is of the model `owner/name`.
    """
    if not is_local(name):
        return name
    bare = name.removeprefix(_ADAPTER)
    try:
        path = path_of(bare, "backbone").absolute()
    except SoftPromptError:  # what cannot be looked at has a name all the same
        path = Path(bare)
    cached = next((part for part in path.parts if part.startswith("models--")), None)
    return name[: len(name) - len(bare)] + (
        cached.removeprefix("models--").replace("--", "/", 1) if cached else path.name
    )


def _path_of(name: str) -> Path:
    """A backbone's name as a path. What cannot be looked at is told, but a name on the hub may be no path here."""
    try:
        return path_of(name, "backbone")
    except SoftPromptError:
        if _ON_HUB.fullmatch(name):
            return Path(name)
        raise


def line(error: BaseException) -> str:
    """The first line of an error's message."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(" .:") if lines else type(error).__name__


def caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an error of this kind stands in the chain of causes."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, kind):
            return True
        found = found.__cause__ or found.__context__
    return False


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise SoftPromptError(f"backbone {folder} holds no model: {_instead(folder)}")
    if any(folder.glob("*.safetensors*")):
        return
    if any(folder.glob("*.bin")):
        raise SoftPromptError(
            f"backbone {folder} holds its weights as pickle, which is never loaded: save them as safetensors"
        )
    raise SoftPromptError(f"backbone {folder} holds no weights: model.safetensors is missing, copy it there")


def _instead(folder: Path) -> str:
    """What to load in place of a folder without a config.json."""
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        try:
            base = json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            base = "adapter_config.json does not name it"
        return f"it holds an adapter, load the adapter's base model ({' '.join(str(base).split())[:100]})"
    packed = sorted(folder.glob("*.gguf"))
    return f"name the file {packed[0]}" if packed else "config.json is missing"


def _explain(source: BackboneSource, error: Exception) -> str:
    name = f"backbone {source.name}"
    if caused_by(error, GatedRepoError):
        return f"{name} is gated: accept its terms on its page on the hub and log in with `hf auth login`"
    if caused_by(error, RepositoryNotFoundError):
        return f"{name} is no folder here and no model on the hub: check the name, or log in if it is private"
    if caused_by(error, LocalEntryNotFoundError):
        return f"{name} is no folder here, and the hub cannot be reached: check the name and the network"
    if caused_by(error, HFValidationError):
        return f"{name} is no folder, no .gguf file and no name on the hub: check the name"
    if caused_by(error, EntryNotFoundError):
        return f"{name} has no weights in safetensors, and pickle is never loaded: choose another model"
    if "trust_remote_code" in str(error):
        return f"{name} needs Python code of its own, which is never run: choose another model"
    if "Should have a `model_type`" in str(error):
        return f"{name} has no config.json that names a model_type: choose a transformers model"
    if "model type" in str(error):
        return f"{name} is of a family that this transformers does not know: update it or choose another model"
    mend = "copy or download it again"
    if source.name.startswith("embedded:gemma"):
        mend = f"delete the folder {source.path}, and it is made anew"
    return f"{name} cannot be read ({line(error)}): {mend}"
