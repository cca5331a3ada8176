"""Where a backbone's linear layers and norms are, and what each projection is for, by path."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from torch import nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.compat import parameters_of

_QUERY = {"q", "q_proj", "q_lin", "query", "query_proj"}
_KEY = {"k", "k_proj", "k_lin", "key", "key_proj"}
_VALUE = {"v", "v_proj", "v_lin", "value", "value_proj"}
# Query, key and value in one matrix.
_FUSED = {"c_attn", "Wqkv", "qkv_proj", "query_key_value", "in_proj"}
_ATTENTION_OUT = {"o", "o_proj", "out_proj", "out_lin", "c_proj", "Wo", "dense"}
_FEED_OUT = {"wo", "Wo", "down_proj", "c_proj", "fc2", "lin2", "ffn_output", "dense_4h_to_h"}
_INSIDE_A_LAYER = re.compile(r"\.\d+\.")


def modules_of(anatomy: Anatomy) -> Iterator[tuple[str, nn.Module]]:
    """Every module of the body, and of an encoder-decoder's decoder, with a path; a shared one comes once."""
    if anatomy.decoder is None:
        yield from anatomy.body.named_modules()
        return
    for stack, module in (("encoder", anatomy.body), ("decoder", anatomy.decoder)):
        for path, inner in module.named_modules():
            yield (f"{stack}.{path}" if path else stack), inner


def linears(anatomy: Anatomy, wanted: Callable[[str], bool]) -> dict[str, nn.Module]:
    """The linear modules inside the layers whose path satisfies `wanted`, by path."""
    return {
        path: module
        for path, module in modules_of(anatomy)
        if sizes_of(module) is not None and _INSIDE_A_LAYER.search(f".{path}") and wanted(path)
    }


def norms(anatomy: Anatomy) -> dict[str, nn.Module]:
    """The norms inside the layers that have values to train, by path."""
    return {
        path: module
        for path, module in modules_of(anatomy)
        if "norm" in type(module).__name__.lower() and parameters_of(module) and _INSIDE_A_LAYER.search(f".{path}")
    }


def sizes_of(module: nn.Module) -> tuple[int, int] | None:
    """Inputs and outputs of a linear module of any kind (GPT-2's transposed one, a quantised one); None of others."""
    inputs, outputs = getattr(module, "in_features", None), getattr(module, "out_features", None)
    if inputs is None and hasattr(module, "nf"):
        inputs, outputs = getattr(module, "nx", None), module.nf
    return (int(inputs), int(outputs)) if isinstance(inputs, int) and isinstance(outputs, int) else None


def is_query(path: str) -> bool:
    """Whether a linear module makes an attention's queries (and keys and values, where one matrix makes them all)."""
    return _in_attention(path) and _leaf(path) in _QUERY | _FUSED


def is_key(path: str) -> bool:
    """Whether it makes the keys."""
    return _in_attention(path) and _leaf(path) in _KEY | _FUSED


def is_value(path: str) -> bool:
    """Whether it makes the values."""
    return _in_attention(path) and _leaf(path) in _VALUE | _FUSED


def is_attention_output(path: str) -> bool:
    """Whether it is an attention's output projection (a decoder's cross-attention has its own)."""
    return _in_attention(path) and _leaf(path) in _ATTENTION_OUT


def is_feed_forward_output(path: str) -> bool:
    """Whether it is a feed-forward's second projection; a mixture of experts has no single one."""
    if _in_attention(path) or "expert" in path:
        return False
    return _leaf(path) in _FEED_OUT or path.endswith(".output.dense")


def is_named(path: str, names: Sequence[str]) -> bool:
    """Whether a path ends in one of some names, which are whole parts of paths, as `o_proj`."""
    return any(f".{path}".endswith(f".{name}") for name in names)


def _in_attention(path: str) -> bool:
    return "att" in path.lower()


def _leaf(path: str) -> str:
    return path.rsplit(".", 1)[-1]
