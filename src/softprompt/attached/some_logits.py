"""Logits of some ids alone: whoever compares two label words needs two rows of the head's matrix.

Over a vocabulary of 262,144 ids the head of a small model is a noticeable part of a training step, most of it in the
backward product. Where the model's logits are what its head gives, the head is given no rows, and the wanted
ids' logits are computed beside it, in fp32; the first call of an attached model computes both ways and finds out. A
model that goes on with them (soft caps, scales, a bias beside the head) gives all, of which the wanted are taken.
Our choice; no method's mathematics changes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from softprompt.backbones.compat import DISPATCHED, HOOKS, compiles_calls, parameters_of
from softprompt.backbones.exporting import is_exporting
from softprompt.backbones.heads import lm_head
from softprompt.backbones.remembered import settings_of
from softprompt.backbones.resting import is_sharded
from softprompt.sites.asking import Around, Beneath, own_class

_WORTH = 8  # the vocabulary is at least so many times the wanted ids: rows of the matrix are copied


class SomeLogits:
    """How an attached model gives logits of some ids.

    Args:
        backbone: the user's model.
    """

    def __init__(self, backbone: nn.Module) -> None:
        """Nothing is tried yet."""
        self._backbone = backbone
        self._found: tuple[object, bool] | None = None  # the settings in which it was tried, and whether it is plain

    def of(self, ids: Tensor, around: Mapping[nn.Module, Around]) -> LogitsOf:
        """For one call.

        Args:
            ids: that are wanted, `(W,)`.
            around: what works around modules in the call already; a head that is among them gives all logits.
        """
        head = lm_head(self._backbone)
        settings = settings_of(self._backbone) if hasattr(self._backbone, "config") else None
        plain = None if self._found is None or self._found[0] != settings else self._found[1]
        if head is None or head in around or not _is_plain(head, ids):
            head, plain = None, False
        return LogitsOf(self, ids, head, plain, settings)

    def found(self, settings: object, plain: bool) -> None:
        """Take what a call found out."""
        self._found = (settings, plain)


class LogitsOf:
    """Logits of some ids in one call."""

    def __init__(
        self, asked: SomeLogits, ids: Tensor, head: nn.Module | None, plain: bool | None, settings: object
    ) -> None:
        """Made by `SomeLogits.of`."""
        self._asked, self._ids, self._plain, self._settings = asked, ids, plain, settings
        self._whole: list[Tensor] = []
        self._some: list[Tensor] = []
        self._head = head

    @property
    def around(self) -> dict[nn.Module, Around]:
        """What has to work around the head; held here it would be a circle, and tensors would stay for long."""
        return {} if self._head is None or self._plain is False else {self._head: self._call}

    def _call(self, call: object, beneath: Beneath, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        states, head = args[0], self._head
        assert isinstance(states, Tensor)
        assert isinstance(head, nn.Linear)
        bias = None if head.bias is None else head.bias[self._ids].float()
        self._some.append(nn.functional.linear(states.float(), head.weight[self._ids].float(), bias))
        if self._plain:
            return beneath(states[..., :0, :], *args[1:], **kwargs)
        output: Tensor = beneath(*args, **kwargs)
        self._whole.append(output)
        return output

    def taken(self, logits: Tensor) -> Tensor:
        """The wanted logits, `(..., W)`.

        Args:
            logits: as the model gave them, `(..., V)`; of no rows where its head was given none.
        """
        if self._plain is None and self._head is not None:
            whole = self._whole[0] if len(self._whole) == 1 else None
            same = whole is not None and whole.shape == logits.shape and torch.equal(whole, logits.to(whole.dtype))
            self._plain = bool(same)
            self._asked.found(self._settings, self._plain)
        return self._some[0] if self._plain else logits[..., self._ids]


def _is_plain(head: nn.Module, ids: Tensor) -> bool:
    """Whether rows of a head's matrix may be taken: it is in memory and whole, and nothing else waits for its call."""
    weight = parameters_of(head).get("weight")
    return (
        not torch.compiler.is_compiling()
        and not is_exporting()
        and own_class(head) is nn.Linear
        and weight is not None
        and not weight.is_meta
        and not is_sharded(weight)
        and weight.is_floating_point()
        and weight.shape[0] >= _WORTH * ids.numel()
        and not compiles_calls(head)
        and not {DISPATCHED, "forward"} & vars(head).keys()
        and not any(value for name, value in vars(head).items() if name.endswith(HOOKS))
    )
