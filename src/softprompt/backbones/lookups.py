"""Where a body looks ids up a second time, beside its input embedding: a virtual id has no row there.

Gemma 3n and 4 have an embedding for each layer, DeepSeek V4's first layers a table from ids to experts. A body with
another table as long as a vocabulary runs once on a short row, and whatever asks a table for the rows of its ids, and
is not the input embedding, is found.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from softprompt.backbones.compat import BUFFERS, PARAMETERS, SeesOperations
from softprompt.backbones.probe import trial_rows
from softprompt.backbones.resting import device_of
from softprompt.backbones.structure import weight_of
from softprompt.backbones.untouched import untouched

_AT = {torch.ops.aten.embedding.default: 1, torch.ops.aten.index_select.default: 2, torch.ops.aten.index.Tensor: 1}


def second_lookups(body: PreTrainedModel, embedding: nn.Module) -> tuple[nn.Module, ...]:
    """The modules, innermost, that ask a table other than the input embedding's for the rows of a body's ids.

    Args:
        body: takes ids; one that cannot be run on them alone has none that are known.
        embedding: its input embedding.
    """
    weight = weight_of(embedding)
    if device_of(body).type == "meta" or not any(len(one) * 2 >= len(weight) for one in _tables(body, embedding)):
        return ()
    row = trial_rows(body, 1)[:1]
    # A model may raise anything: what was asked before counts.
    with untouched(body), _entered(body) as inside, _Asked(row, embedding, inside) as asked, suppress(Exception):
        body.forward(input_ids=row)
    return tuple(dict.fromkeys(asked.found))


def _tables(body: nn.Module, embedding: nn.Module) -> Iterator[Tensor]:
    """What could be a table of ids: parameters and buffers of two axes and more, of all modules but the embedding."""
    for module in body.modules():
        if module is not embedding:
            held = (*vars(module)[PARAMETERS].values(), *vars(module)[BUFFERS].values())
            yield from (one for one in held if one is not None and one.ndim > 1)


@contextmanager
def _entered(body: nn.Module) -> Iterator[list[nn.Module]]:
    """The modules that run, each inside the one before; those of this thread, as another may run the same model."""
    inside, me = [body], threading.get_ident()

    def enter(module: nn.Module, args: tuple[object, ...]) -> None:
        if threading.get_ident() == me:
            inside.append(module)

    def leave(module: nn.Module, args: tuple[object, ...], output: object) -> None:
        if threading.get_ident() == me and inside[-1] is module:
            inside.pop()

    with ExitStack() as stack:
        for module in body.modules():
            stack.callback(module.register_forward_pre_hook(enter).remove)
            stack.callback(module.register_forward_hook(leave).remove)
        yield inside


class _Asked(SeesOperations):
    """Sees who asks for the rows of the ids, in this thread."""

    def __init__(self, ids: Tensor, embedding: nn.Module, inside: list[nn.Module]) -> None:
        super().__init__()
        self._ids, self._embedding, self._inside = ids.flatten(), embedding, inside
        self.found: list[nn.Module] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in _AT and self._embedding not in self._inside:
            asked = args[_AT[function]]
            for one in asked if isinstance(asked, list | tuple) else [asked]:
                if isinstance(one, Tensor) and one.numel() == len(self._ids) and torch.equal(one.flatten(), self._ids):
                    self.found.append(self._inside[-1])
        return function(*args, **(kwargs or {}))
