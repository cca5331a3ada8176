"""What a checkpoint's own files ask for, looked at before a library obeys them.

A `config.json` and an index are data of whoever made the checkpoint: they may name pickle, files elsewhere, code of the
hub, or sizes that no machine holds. All of that is refused before a weight is read, so that the libraries below are
left with safetensors (or GGUF) files of the checkpoint itself, and with no more memory to take than these files fill.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import MODEL_MAPPING, AutoModel, PreTrainedConfig

from softprompt.backbones.compat import ATTENTION_KEY
from softprompt.backbones.embedded import GgufFile
from softprompt.backbones.packed import inner_numbers
from softprompt.backbones.source import BackboneSource
from softprompt.errors import SoftPromptError
from softprompt.files.places import ADAPTER, ADAPTER_WEIGHTS

CONFIG = "config.json"
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_GENERATION = "generation_config.json"
_PLAIN = re.compile(r"[\w-][\w.-]*\.safetensors")
# Numbers by which modules are counted; a layer shared by many calls has fewer tensors than calls.
_COUNTED = re.compile(r"layers?$|experts$")
_MODULES = 1024
_LONGEST = 32 << 20  # bytes of a JSON file: the index of 100,000 tensors has 10 MB
# A quantised checkpoint has a byte where the model has a number, or half of one.
_TIMES, _SPARE = 16, 1 << 24


def check_checkpoint(source: BackboneSource) -> int | None:
    """Look at the files of a checkpoint; those of a hub are fetched, as they are needed anyway.

    Returns:
        The numbers that its weights hold; None where its config cannot be read.

    Raises:
        SoftPromptError: an adapter that was not asked for, weights that are no safetensors of the checkpoint's own,
            code of the hub, or a count of modules that the weights cannot fill.
    """
    _check_adapter(source)
    if source.file:
        return sum(int(tensor.n_elements) for tensor in GgufFile(Path(source.path) / source.file).tensors)
    config = _document(source, CONFIG)
    if config is None:  # the library says what is wrong with it
        return None
    if source.find(_GENERATION) is not None and _document(source, _GENERATION) is None:
        raise _refused(source, f"{_GENERATION} is no JSON object")  # which the library would do without
    for key in ("attn_implementation", ATTENTION_KEY, "experts_implementation"):
        if "/" in str(config.get(key)):
            raise _refused(source, f"{CONFIG} asks for code of the hub, which is never run", f"take {key} out of it")
    sizes = [math.prod(shape) for file in _files(source, config) for shape in _shapes(file)]
    most = max(_MODULES, len(sizes))
    for key, count in _numbers(config):
        if _COUNTED.search(key) and count > most:
            raise _refused(source, f"{CONFIG} asks for {count:,} {key}, and its {len(sizes):,} weights fill fewer")
    return sum(sizes)


def check_sizes(source: BackboneSource, config: PreTrainedConfig, held: int | None) -> None:
    """Compare the size of the model that a configuration describes with that of the weights.

    Args:
        source: for the message.
        config: of transformers.
        held: the numbers that the weights hold.

    Raises:
        SoftPromptError: it is many times as large, and would take memory that the weights do not fill.
    """
    if held is None or type(config) not in MODEL_MAPPING:
        return
    with torch.device("meta"):
        body = AutoModel.from_config(config, trust_remote_code=False)
    asked = sum(tensor.numel() for tensor in (*body.parameters(), *body.buffers()))
    if asked > _TIMES * held + _SPARE:
        raise _refused(source, f"{CONFIG} describes {asked:,} weights, and the files hold {held:,}")


def check_finite(source: BackboneSource, model: torch.nn.Module) -> None:
    """Make sure that every weight is a number.

    Raises:
        SoftPromptError: one is not.
    """
    named = ((name, one) for name, weight in model.named_parameters() for one in inner_numbers(weight.detach()))
    for name, weight in named:
        # A sum is finite unless one of its terms is not, or it overflows; only then is each looked at.
        if not torch.isfinite(weight.sum()) and not torch.isfinite(weight).all():
            raise _refused(source, f"its weight {name} holds NaN or infinity")


def _check_adapter(source: BackboneSource) -> None:
    found = source.find(ADAPTER) is not None
    if found and not source.adapter:
        raise SoftPromptError(
            f"backbone {source.name} has an adapter beside its weights: name it adapter:{source.name} to have it "
            f"applied, or take {ADAPTER} away"
        )
    if source.adapter and not found:
        raise SoftPromptError(f"backbone {source.name} has no adapter ({ADAPTER} is missing): leave 'adapter:' out")
    if source.adapter and source.find(ADAPTER_WEIGHTS) is None:
        raise SoftPromptError(
            f"backbone {source.name}: its adapter has no {ADAPTER_WEIGHTS}, and pickle is never loaded: save it as "
            "safetensors"
        )


def _files(source: BackboneSource, config: dict[str, object]) -> list[Path]:
    """The safetensors files of the weights, all of them beside the config."""
    if any(Path(source.path).glob("shard-*-model-*.safetensors")):
        raise _refused(source, "it holds the shards of a distributed training", "save the model whole")
    named = config.get("transformers_weights") or _WEIGHTS
    whole = named if isinstance(named, str) else ""
    if whole.removesuffix(".index.json") == whole and (one := source.find(_own(source, whole, CONFIG))):
        return [one]
    index_name = whole if whole.endswith(".index.json") else _INDEX
    _own(source, index_name.removesuffix(".index.json"), CONFIG)
    index = _document(source, index_name)
    if index is None:
        raise _refused(source, "it has no weights in safetensors, and pickle is never loaded", "choose another model")
    shards = index.get("weight_map")
    if not isinstance(shards, dict) or not shards or not isinstance(index.get("metadata"), dict):
        raise _refused(source, f"{index_name} has no weight_map and metadata")
    names = sorted({_own(source, shard, index_name) for shard in shards.values()})
    found = {name: source.find(name) for name in names}
    for name, file in found.items():
        if file is None:
            raise _refused(source, f"{index_name} names {name}, which is not there")
    return [file for file in found.values() if file is not None]


def _own(source: BackboneSource, name: object, where: str) -> str:
    """A name that can be that of safetensors beside the config alone."""
    if not isinstance(name, str) or not _PLAIN.fullmatch(name):
        raise SoftPromptError(
            f"backbone {source.name}: {where} names {str(name)[:60]!r}, no safetensors file of its own folder, "
            "and pickle is never loaded: save the model as safetensors"
        )
    return name


def _shapes(file: Path) -> Iterator[tuple[int, ...]]:
    with safe_open(file, framework="pt") as opened:
        for name in opened.keys():  # noqa: SIM118
            yield tuple(opened.get_slice(name).get_shape())


def _document(source: BackboneSource, name: str) -> dict[str, object] | None:
    """A JSON object of the checkpoint; None where there is none, or none that can be read."""
    path = source.find(name)
    if path is not None and path.stat().st_size > _LONGEST:
        raise _refused(source, f"{name} has {path.stat().st_size:,} bytes, at most {_LONGEST:,}")
    try:
        found = None if path is None else json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _numbers(value: object, key: str = "") -> Iterator[tuple[str, int]]:
    """Every whole number of a document and its key."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _numbers(one, name)
    elif isinstance(value, list):
        for one in value:
            yield from _numbers(one, key)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield key, value


def _refused(source: BackboneSource, reason: str, mend: str = "copy or download it again") -> SoftPromptError:
    return SoftPromptError(f"backbone {source.name} cannot be read ({reason}): {mend}")
