"""What weight-side methods share: how trained values get to the modules of a backbone.

Nothing of the model is copied or replaced: a trained tensor answers for a module's own, and a trained layer works
around its call, in the calls of the attached model alone (`sites/asking.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import nn

from softprompt.backbones.compat import parameters_of
from softprompt.backbones.resting import own_numbers
from softprompt.errors import SoftPromptError
from softprompt.sites.producer import Producer, StandIn


class InModel(Producer, ABC):
    """A weight-side producer whose parts stand at modules of the backbone, found when it is built.

    Attributes:
        places: the modules by path; no sub-modules of the producer.
    """

    def __init__(self, places: dict[str, nn.Module]) -> None:
        super().__init__()
        self.places = _Unregistered(places)

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


class _Unregistered(dict[str, nn.Module]):
    """Modules by path that belong to someone else: a plain dict, so that no `nn.Module` registers them."""

    def __deepcopy__(self, memo: dict[int, nn.Module]) -> _Unregistered:
        """A copy of the producer stands at the same modules, or at their copies where the model is copied along."""
        return _Unregistered({path: memo.get(id(module), module) for path, module in self.items()})


def key(path: str) -> str:
    """A path as the name of a parameter or sub-module, which holds no dot."""
    return path.replace(".", "/")


@torch.no_grad()
def copies(module: nn.Module, names: list[str] | None = None) -> dict[str, nn.Parameter]:
    """fp32 copies of a module's own parameters, to be trained, by name."""
    return {
        name: nn.Parameter(own_numbers(module, name).detach().to(torch.float32, copy=True))
        for name, own in parameters_of(module).items()
        if own is not None and (names is None or name in names)
    }
