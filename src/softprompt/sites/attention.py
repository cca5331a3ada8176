"""Site `attention`: trained keys and values stand in front of a layer's own.

The join happens in a function registered with transformers' `AttentionInterface`, beside the model's own implementation
and under one name with its mask function (without the second, transformers hands over no mask at all). A layer's call
carries its keys and values as a keyword, so gradient checkpointing recomputes with the same ones.

The prefix has no position of its own: it is used as trained, and the text's positions start at P (the past-length
convention).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from softprompt.errors import SoftPromptError
from softprompt.sites.producer import Producer

KEYWORD = "softprompt_prefix"
_SERVED = ("eager", "sdpa")


@dataclass(frozen=True)
class Prefix:
    """What one layer's self-attention joins in front of its own keys and values.

    Attributes:
        attention: the module that shall join it (a decoder layer's cross-attention gets the same keywords).
        keys: shape `(B, K, P, D)`.
        values: shape `(B, K, P, D)`.
        seen: which of them each row has, bool, shape `(B, P)`, or None where every row has all.
    """

    attention: nn.Module
    keys: Tensor
    values: Tensor
    seen: Tensor | None


def join_in(model: Any) -> str:
    """Let a model's attention join prefixes; its implementation's old name comes back, for `set_attn_implementation`.

    Raises:
        SoftPromptError: the implementation's masks cannot be widened here.
    """
    implementation: str = model.config._attn_implementation
    model.set_attn_implementation(_twin(implementation))
    return implementation


def _twin(implementation: str) -> str:
    """Register the joining twin of an attention implementation and return its name."""
    if implementation not in _SERVED:
        raise SoftPromptError(
            f"the site 'attention' runs with 'sdpa' or 'eager' attention, not {implementation!r}: "
            "load the backbone with attn_implementation='sdpa'"
        )
    name = f"softprompt_{implementation}"
    if name not in ALL_ATTENTION_FUNCTIONS:
        AttentionInterface.register(name, _joining(implementation))
        AttentionMaskInterface.register(name, ALL_MASK_ATTENTION_FUNCTIONS[implementation])
    return name


def _joining(implementation: str) -> Callable[..., Any]:
    def attend(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        **kwargs: Any,
    ) -> Any:
        prefix: Prefix | None = kwargs.pop(KEYWORD, None)
        if prefix is not None and prefix.attention is module:
            attention_mask = _widen(attention_mask, prefix, module, query, key, kwargs)
            key = torch.cat([prefix.keys.to(key.dtype), key], dim=2)
            value = torch.cat([prefix.values.to(value.dtype), value], dim=2)
            bias = kwargs.get("position_bias")
            if bias is not None:  # T5: a prefix has no distance, its bias is zero
                kwargs["position_bias"] = nn.functional.pad(bias, (prefix.keys.shape[2], 0))
        return _own(implementation, module)(module, query, key, value, attention_mask, **kwargs)

    return attend


def _own(implementation: str, module: nn.Module) -> Callable[..., Any]:
    """The model's own function: eager attention is written in each family's file."""
    if implementation == "eager":
        function: Callable[..., Any] = sys.modules[type(module).__module__].eager_attention_forward
        return function
    registered: Callable[..., Any] = ALL_ATTENTION_FUNCTIONS[implementation]
    return registered


def _widen(
    mask: Tensor | None, prefix: Prefix, module: nn.Module, query: Tensor, key: Tensor, kwargs: dict[str, Any]
) -> Tensor | None:
    """The mask with P columns in front: bool stays bool, an additive one stays additive."""
    length, queries, own = prefix.keys.shape[2], query.shape[2], key.shape[2]
    causal = kwargs.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    if mask is None:
        if prefix.seen is None and not (causal and queries > 1):
            return None
        mask = torch.ones(1, 1, queries, own, dtype=torch.bool, device=query.device)
        mask = mask.tril() if causal and queries > 1 else mask
    if prefix.seen is None:
        open_value = True if mask.dtype == torch.bool else 0.0
        return nn.functional.pad(mask, (length, 0), value=open_value)
    seen = prefix.seen[:, None, None, :].expand(-1, mask.shape[1], queries, -1)
    if mask.dtype != torch.bool:
        seen = torch.where(seen, 0.0, torch.finfo(mask.dtype).min).to(mask.dtype)
    return torch.cat([seen, mask.expand(seen.shape[0], -1, -1, -1)], dim=-1)


class Join:
    """The keys and values of one call, made once and handed to each layer."""

    def __init__(self, prompts: Sequence[Producer], rows: Sequence[int]) -> None:
        """Remember who stands in which row; nothing is computed before a layer asks."""
        self._prompts = prompts
        self._rows = tuple(rows)
        self._made: dict[int, list[tuple[Tensor, Tensor]]] = {}

    def of_layer(self, layer: int, attention: nn.Module, batch: int, dtype: torch.dtype) -> Prefix | None:
        """The prefix of `layer` for a batch of `batch` rows, or None where no row has one.

        A batch that is a multiple of the rows was repeated row by row (beams).
        """
        used = sorted({row for row in self._rows if self._prompts[row].prefix})
        if not used:
            return None
        pairs = {index: self._layer(index, layer, dtype) for index in used}
        if len(set(self._rows)) == 1:
            keys, values = pairs[used[0]]
            return Prefix(attention, keys.expand(batch, -1, -1, -1), values.expand(batch, -1, -1, -1), None)
        width = max(pair[0].shape[1] for pair in pairs.values())
        order = {index: place for place, index in enumerate(used)}
        lengths = [self._prompts[row].prefix for row in self._rows]
        place = torch.tensor([order.get(row, 0) for row in self._rows], device=pairs[used[0]][0].device)
        seen = torch.arange(width, device=place.device) < torch.tensor(lengths, device=place.device)[:, None]
        repeat = batch // len(self._rows)
        keys, values = (
            torch.stack([nn.functional.pad(pairs[i][side], (0, 0, 0, width - pairs[i][side].shape[1])) for i in used])
            for side in (0, 1)
        )
        index = place.repeat_interleave(repeat)
        return Prefix(attention, keys[index], values[index], seen.repeat_interleave(repeat, 0))

    def _layer(self, index: int, layer: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        if index not in self._made:
            self._made[index] = [(k.to(dtype), v.to(dtype)) for k, v in self._prompts[index].keys_values()]
        return self._made[index][layer]
