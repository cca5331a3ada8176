"""A frozen model in parts: each rank keeps its share of every weight, and a layer's are gathered for its call.

Torch's FSDP2 (`torch.distributed.fsdp.fully_shard`): the layers are groups of their own, all that is left is one more.
Between calls a rank holds 1/N of the weights, and in a call one group more. Nothing of a frozen model has a gradient,
so weights are gathered, forward and backward, and never summed. Prompts are none of its parameters: each rank has all
of them, and whoever trains adds their gradients up.
"""

from __future__ import annotations

from warnings import filterwarnings

import torch
from torch import nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.compat import parameters_of
from softprompt.backbones.freed import return_freed
from softprompt.backbones.packed import is_packed
from softprompt.backbones.resting import device_of, is_sharded, where_they_rest
from softprompt.errors import SoftPromptError
from softprompt.ranks import here


def shard(backbone: nn.Module, anatomy: Anatomy, *, called: nn.Module) -> None:
    """Split a model's weights over the ranks, in place and for good, once prompts are attached to it.

    It serves this training alone afterwards: whoever wants to ask the model itself loads it again.

    Args:
        backbone: the frozen model, whole on every rank.
        anatomy: of it.
        called: what is called from outside, whose weights beside the layers' are gathered for the whole call: the
            model, or its body where states alone are read.

    Raises:
        SoftPromptError: weights that rest elsewhere, are codes, or that torch cannot split.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    if where_they_rest(backbone):
        raise SoftPromptError("shard: weights rest on the CPU or a disk (device_map): load the backbone without it")
    if any(map(is_packed, backbone.modules())):
        raise SoftPromptError("shard: the backbone is quantised, and torch splits plain numbers: load it unquantised")
    mesh = init_device_mesh(device_of(backbone).type, (here().count,))
    before = list(backbone.parameters())
    # Of a body that hands its first state on as it is; nobody here writes into what a model gave.
    filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    try:
        for part in dict.fromkeys((*anatomy.layers, *anatomy.decoder_layers, called)):
            fully_shard(part, mesh=mesh, reshard_after_forward=True)
    except (NotImplementedError, RuntimeError, ValueError, TypeError) as error:
        told = " ".join(str(error).split())[:200]
        raise SoftPromptError(f"shard: torch cannot split this model's weights ({told}): leave shard out") from None
    # A single whole weight that somebody still knows, or that of a head that is not called, keeps all of a file mapped.
    for one in before:
        if not is_sharded(one) and one.is_floating_point():
            one.data = one.data.new_full((), torch.nan).expand(one.shape)  # what is known of a model goes by shapes
    return_freed()  # never `keep_freed`: gathered weights would pile up in it


def is_split(backbone: nn.Module) -> bool:
    """Whether some weight of a model is split over the ranks."""
    if here().count == 1:
        return False
    own = (one for part in backbone.modules() for one in parameters_of(part).values())
    return any(one is not None and is_sharded(one) for one in own)
