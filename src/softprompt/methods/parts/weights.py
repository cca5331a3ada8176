"""What weight-side methods share: where a backbone's linear layers and norms are, and how trained values get there.

Nothing of the model is copied or replaced: a trained tensor answers for a module's own, and a trained layer works
around its call, in the calls of the attached model alone (`sites/asking.py`).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from softprompt.errors import SoftPromptError
from softprompt.sites.anatomy import Anatomy
from softprompt.sites.producer import Producer, StandIn

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
        if "norm" in type(module).__name__.lower() and module._parameters and _INSIDE_A_LAYER.search(f".{path}")
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


def _in_attention(path: str) -> bool:
    return "att" in path.lower()


def _leaf(path: str) -> str:
    return path.rsplit(".", 1)[-1]


class Inside(Producer, ABC):
    """A weight-side producer whose parts stand at modules of the backbone, found when it is built.

    Attributes:
        places: the modules by path; no sub-modules of the producer.
    """

    def __init__(self, places: dict[str, nn.Module]) -> None:
        super().__init__()
        self.places = _Apart(places)

    def stand_ins(self, model: nn.Module) -> Mapping[nn.Module, StandIn]:
        """Every part at its place.

        Raises:
            SoftPromptError: the parts were built for another model.
        """
        own = {id(module) for module in model.modules()}
        if not all(id(module) in own for module in self.places.values()):
            raise SoftPromptError("this weight-side prompt was built for another model: build or load it for this one")
        return {module: self.stand_in(path) for path, module in self.places.items()}

    @abstractmethod
    def stand_in(self, path: str) -> StandIn:
        """What stands in for the module at a path."""


class _Apart(dict[str, nn.Module]):
    """Modules by path that belong to someone else: a plain dict, so that no `nn.Module` registers them."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Apart:
        """A copy of the producer stands at the same modules, or at their copies where the model is copied along."""
        return _Apart({path: memo.get(id(module), module) for path, module in self.items()})


def key(path: str) -> str:
    """A path as the name of a parameter or sub-module, which holds no dot."""
    return path.replace(".", "/")


@torch.no_grad()
def copies(module: nn.Module, names: list[str] | None = None) -> dict[str, nn.Parameter]:
    """fp32 copies of a module's own parameters, to be trained, by name."""
    return {
        name: nn.Parameter(own.detach().to(torch.float32, copy=True))
        for name, own in module._parameters.items()
        if own is not None and (names is None or name in names)
    }
