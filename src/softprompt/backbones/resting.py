"""Weights that rest on a disk or in another memory until a call wants them: accelerate fetches them with a hook.

Between calls they are on torch's `meta` device. A model of shapes alone is on it, too, but has no hooks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from softprompt.backbones.compat import fetching, parameters_of


@dataclass(frozen=True)
class Resting:
    """A weight that is not in memory.

    Attributes:
        kept: where it is, by its name in its module.
        name: that name.
        shape: of the weight.
        dtype: of the weight.
    """

    kept: Mapping[str, Tensor]
    name: str
    shape: torch.Size
    dtype: torch.dtype

    def numel(self) -> int:
        """How many numbers it has."""
        return self.shape.numel()

    def read(self) -> Tensor:
        """The numbers, on the CPU."""
        return self.kept[self.name]


def device_of(module: nn.Module) -> torch.device:
    """Where the first weight of a module is while it is called; the CPU where it has none."""
    for part in module.modules():
        for weight in parameters_of(part).values():
            if weight is not None:
                hook = fetching(part) if weight.is_meta else None
                return weight.device if hook is None else torch.device(hook.execution_device)
    return torch.device("cpu")


def is_sketched(module: nn.Module, weight: Tensor) -> bool:
    """Whether a module's own weight is a shape alone: on the device `meta`, with nothing that fetches its numbers."""
    return weight.is_meta and fetching(module) is None


def is_sharded(weight: Tensor) -> bool:
    """Whether a weight is spread over the ranks of a training (torch's `fully_shard`)."""
    return hasattr(weight, "device_mesh")


def where_they_rest(model: nn.Module) -> dict[int, Resting]:
    """The weights of a model that are not in memory, by the identity of their parameters."""
    found: dict[int, Resting] = {}
    for module in model.modules():
        hook = fetching(module)
        for name, one in parameters_of(module).items():
            if one is not None and one.is_meta and hook is not None:
                found[id(one)] = Resting(hook.weights_map, name, one.shape, one.dtype)
    return found


def own_numbers(module: nn.Module, name: str) -> Tensor:
    """A module's own parameter, read from where it rests if it is not in memory."""
    one = parameters_of(module)[name]
    assert one is not None
    hook = fetching(module) if one.is_meta else None
    return one if hook is None else hook.weights_map[name].to(hook.execution_device)
