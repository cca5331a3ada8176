"""The weights of a model as its calls use them, where PEFT's adapters stand in its layers.

An active adapter counts as folded into the weight that it changes, so that a model is the same backbone with the
adapter beside its weights, merged into them, or folded in by `adapter:NAME`, and another one with another adapter or
with none. What changes a weight in no such way (a quantised one) counts beside it, under names of its own.
"""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import methodcaller

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Folded:
    """A weight in a layer of PEFT's, with the active adapters in it.

    Attributes:
        layer: PEFT's.
        name: of the weight in the layer's base layer.
        shape: of the weight.
        dtype: of the weight.
    """

    layer: nn.Module
    name: str
    shape: torch.Size
    dtype: torch.dtype

    def numel(self) -> int:
        """How many numbers it has."""
        return self.shape.numel()

    def read(self) -> Tensor:
        """The numbers, added in float32, so that they are the same over a base in bfloat16 and in float32.

        Those of a kind that cannot be added come one after the other.
        """
        made = copy.deepcopy(self.layer).to(torch.float32)
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                methodcaller("unmerge" if getattr(made, "merged", False) else "merge")(made)
        except Exception:  # each kind says in its own way that it cannot be merged
            active: list[str] = getattr(self.layer, "active_adapters", [])
            parts = [one for path, one in self.layer.named_parameters() if {*path.split(".")} & {*active}]
            return torch.cat([one.detach().flatten() for one in (_base(self.layer).get_parameter(self.name), *parts)])
        return _base(made).get_parameter(self.name)


def folded(weights: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor | Folded]:
    """Weights of a model with its adapters folded in, under the names that they have without adapters.

    Args:
        weights: parameters of the model by name, which the names there end with.
        model: with PEFT's layers in it or not.
    """
    new: dict[int, tuple[str, str, Tensor | Folded]] = {}
    gone: set[int] = set()
    for outer in adapted(model):
        paths = {id(one): path for path, one in outer.named_parameters()}
        gone |= paths.keys()
        new |= {id(one): (paths[id(one)], name, value) for one, name, value in _used(outer)}
    found: dict[str, Tensor | Folded] = {}
    for name, weight in weights.items():
        if id(weight) in new:
            path, own, value = new[id(weight)]
            found[name.removesuffix(path) + own] = value
        elif id(weight) not in gone:
            found[name] = weight
    return found


def adapters_of(model: nn.Module) -> str:
    """What PEFT's layers in a model would do now, to be compared; empty where there are none."""
    names = ("active_adapters", "disable_adapters", "merged_adapters", "scaling")
    return "".join(str([getattr(_layer(outer), name, None) for name in names]) for outer in adapted(model))


def adapted(model: nn.Module) -> Iterator[nn.Module]:
    """PEFT's layers and wrappers in a model, none that lies inside another."""
    peft = sys.modules.get("peft")
    if peft is None:
        return
    kinds = (peft.tuners.tuners_utils.BaseTunerLayer, peft.utils.other.AuxiliaryTrainingWrapper)
    inside: set[nn.Module] = set()
    for module in model.modules():
        if isinstance(module, kinds) and module not in inside:
            inside.update(module.modules())
            yield module


def _used(outer: nn.Module) -> Iterator[tuple[Tensor, str, Tensor | Folded]]:
    """The parameters of a layer that its calls use: each with its name without adapters, and what stands for it."""
    layer, copies = _layer(outer), getattr(outer, "modules_to_save", None)
    active: list[str] = getattr(layer, "active_adapters", [])
    resting = bool(getattr(layer, "disable_adapters", False))
    merged = bool(getattr(layer, "merged", False))
    if isinstance(copies, nn.ModuleDict):  # a module that was trained whole
        chosen = copies[active[0]] if active and not resting and active[0] in copies else outer.original_module
        assert isinstance(chosen, nn.Module)
        yield from ((one, name, one) for name, one in chosen.named_parameters())
        return
    changes = merged if resting else bool(active) and not merged
    folds = changes and all(one.is_floating_point() for one in layer.parameters())
    for name, one in _base(layer).named_parameters():
        yield one, name, Folded(layer, name, one.shape, one.dtype) if folds else one
    if changes and not folds:
        yield from ((one, path, one) for path, one in outer.named_parameters() if {*path.split(".")} & {*active})


def _layer(outer: nn.Module) -> nn.Module:
    """The layer itself; one for some tokens of an embedding stands in a wrapper."""
    inner = getattr(outer, "token_adapter", outer)
    assert isinstance(inner, nn.Module)
    return inner


def _base(layer: nn.Module) -> nn.Module:
    found: nn.Module = methodcaller("get_base_layer")(layer)
    return found
