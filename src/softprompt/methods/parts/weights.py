"""What weight-side methods share: where a backbone's linear layers and norms are, and how trained values get there.

Nothing of the model is copied or replaced. A trained tensor is lent to a module through a sub-class whose property
answers for the module's own attribute, a trained layer through the module's `forward`; both go back exactly.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from softprompt.errors import SoftPromptError
from softprompt.sites.anatomy import Anatomy
from softprompt.sites.producer import Producer

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
        self._undo: list[Callable[[], None]] = []

    def install(self, model: nn.Module) -> None:
        """Put every part at its place.

        Raises:
            SoftPromptError: the parts were built for another model.
        """
        own = {id(module) for module in model.modules()}
        if not all(id(module) in own for module in self.places.values()):
            raise SoftPromptError("this weight-side prompt was built for another model: build or load it for this one")
        if not self._undo:
            self._undo = [self.put(path, module) for path, module in self.places.items()]

    def uninstall(self, model: nn.Module) -> None:
        """Take them away."""
        while self._undo:
            self._undo.pop()()

    @abstractmethod
    def put(self, path: str, module: nn.Module) -> Callable[[], None]:
        """Let a part work at a module; what comes back undoes it exactly."""


class _Apart(dict[str, nn.Module]):
    """Modules by path that belong to someone else: a plain dict, so that no `nn.Module` registers them."""

    def __deepcopy__(self, memo: dict[int, Any]) -> _Apart:
        """A copy of the producer stands at the same modules."""
        return _Apart(self)


def key(path: str) -> str:
    """A path as the name of a parameter or sub-module, which holds no dot."""
    return path.replace(".", "/")


def lend(module: nn.Module, tensors: dict[str, Tensor]) -> Callable[[], None]:
    """Let a module read trained tensors in the places of its own parameters, in their precision.

    The module's parameters stay where they are, untouched: for the time being its class is a sub-class of itself with a
    property for each name.

    Args:
        module: of the backbone.
        tensors: by the parameter's name.

    Returns:
        A function that gives the module its class back.
    """
    own = type(module)
    answers = {name: _answer(tensor, module._parameters[name]) for name, tensor in tensors.items()}
    module.__class__ = type(own.__name__, (own,), {**answers, "__module__": own.__module__})

    def undo() -> None:
        module.__class__ = own

    return undo


def _answer(tensor: Tensor, own: Tensor | None) -> property:
    assert own is not None
    dtype = own.dtype
    return property(lambda _: tensor.to(dtype))


def stand_in(module: nn.Module, layer: Callable[..., Any]) -> Callable[[], None]:
    """Let `layer` answer when a module is called; what comes back undoes it.

    Args:
        module: of the backbone.
        layer: takes the module's place; it may call the module's own `forward`, taken before.
    """
    had = "forward" in module.__dict__
    before = module.__dict__.get("forward")
    module.__dict__["forward"] = layer

    def undo() -> None:
        if had:
            module.__dict__["forward"] = before
        else:
            del module.__dict__["forward"]

    return undo


@torch.no_grad()
def copies(module: nn.Module, names: list[str] | None = None) -> dict[str, nn.Parameter]:
    """fp32 copies of a module's own parameters, to be trained, by name."""
    return {
        name: nn.Parameter(own.detach().to(torch.float32, copy=True))
        for name, own in module._parameters.items()
        if own is not None and (names is None or name in names)
    }
