"""PEFT's own layers at the modules of a backbone, without PEFT ever touching the model.

PEFT injects its layers into a shell of stand-ins that have the right sizes and no memory. In a call of the attached
model each layer answers for its module, and asks the module itself where PEFT's code asks its base layer. So any linear
module is served that has inputs and outputs, quantised ones among them, and the model's tree stays as it is.
"""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor, nn

from softprompt.backbones.projections import sizes_of
from softprompt.errors import SoftPromptError
from softprompt.methods.parts.weights import InModel, key
from softprompt.sites.asking import beneath
from softprompt.sites.producer import StandIn

_ADAPTER = "default"  # PEFT's name of the adapter, which its files leave out of the tensors' names


def peft() -> ModuleType:
    """The package, which is no hard dependency.

    Raises:
        SoftPromptError: it is not installed.
    """
    try:
        import peft
    except ImportError:
        raise SoftPromptError("this method runs on PEFT's layers: pip install 'peft>=0.18'") from None
    return peft


class PeftLayers(InModel):
    """The layers that a PEFT configuration makes, one for each module."""

    def __init__(self, configuration: object, places: dict[str, nn.Module]) -> None:
        """Build them in fp32; the caller draws their first values.

        Args:
            configuration: of PEFT; its `target_modules` are the paths with `key` applied.
            places: the modules by path.
        """
        super().__init__(places)
        shell = nn.ModuleDict({key(path): _shape_of(module) for path, module in places.items()})
        with torch.random.fork_rng(devices=[]):  # PEFT draws values of its own, which are not kept
            peft().inject_adapter_in_model(configuration, shell, _ADAPTER)
        self.layers = nn.ModuleDict(dict(shell.items()))
        for path in places:
            self.layers[key(path)].base_layer = _Own(self.places, path)

    def stand_in(self, path: str) -> StandIn:
        """The layer that answers for a module."""
        layer = self.layers[key(path)]
        return StandIn(layer=lambda call, beneath, args, kwargs: layer(*args, **kwargs))

    def stored(self) -> dict[str, Tensor]:
        """The trained tensors under the names of PEFT's files, the prefix `base_model.model.` left out."""
        return {_in_file(name): value.detach() for name, value in self.state_dict().items()}

    def load_stored(self, tensors: dict[str, Tensor]) -> None:
        """Take what `stored` gave."""
        self.load_state_dict({name: tensors[_in_file(name)] for name in self.state_dict()})


class _Own(nn.Module):
    """The module itself, where PEFT's layer asks its base layer."""

    def __init__(self, places: dict[str, nn.Module], path: str) -> None:
        super().__init__()
        self._places, self._path = places, path

    def forward(self, *args: object, **kwargs: object) -> object:
        """What the module would have answered."""
        return beneath(self._places[self._path], *args, **kwargs)


def _shape_of(module: nn.Module) -> nn.Linear:
    """A linear layer of a module's sizes whose weight takes no memory."""
    sizes = sizes_of(module)
    assert sizes is not None
    layer = nn.Linear(*sizes, bias=False, device="meta")
    layer.weight = nn.Parameter(torch.zeros(1, 1).expand(sizes[1], sizes[0]), requires_grad=False)
    return layer


def _in_file(name: str) -> str:
    """`layers.h/0/attn/c_attn.lora_A.default.weight` is `h.0.attn.c_attn.lora_A.weight` in a file."""
    return name.removeprefix("layers.").replace(f".{_ADAPTER}", "").replace("/", ".")
