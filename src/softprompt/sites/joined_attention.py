"""Attention with a prefix in front of its keys and values, given the function of a model without one.

See `attention`, which brings the prefix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from softprompt.sites.written_attention import Attend


@dataclass(frozen=True)
class Prefix:
    """What one attention joins in front of its own keys and values.

    Attributes:
        attention: the module that shall join it (a layer hands its keywords to each of its attentions).
        keys: shape `(B, K, P, D)`; in a batch that runs as one row those of its G prompts, `(G, K, P, D)`.
        values: as `keys`.
        seen: which of them each row (or prompt) has, bool, shape `(B, P)`, or None where every row has all.
        value: v, a scalar: the attention is v times that with them plus 1 - v times that without; None for 1.
        waiting: the attentions of the call that were handed a prefix and have not joined it.
        lengths: how many of them each prompt of the batch has.
    """

    attention: nn.Module
    keys: Tensor
    values: Tensor
    seen: Tensor | None
    value: Tensor | None
    waiting: set[nn.Module]
    lengths: tuple[int, ...] = ()


def join_one_row(prefix: Prefix | None, attend: Callable[[Prefix | None], tuple[Tensor, None]]) -> tuple[Tensor, None]:
    """Attention of a batch that runs as one row, with each prompt's prefix in front of its rows' keys and values."""
    joined, weights = attend(prefix)
    if prefix is None or prefix.value is None:
        return joined, weights
    return _weighed(prefix.value, joined, attend(None)[0]), weights


def _weighed(value: Tensor, joined: Tensor, without: Tensor) -> Tensor:
    return value.to(joined.dtype) * joined + (1 - value).to(joined.dtype) * without


def join_prefix(
    prefix: Prefix,
    own: Attend,
    module: nn.Module,
    states: tuple[Tensor, Tensor, Tensor],
    mask: Tensor | None,
    kwargs: dict[str, object],
    *,
    causal: bool,
) -> tuple[Tensor, Tensor | None]:
    """What the model's own attention gives with a prefix in front of its keys and values.

    Args:
        prefix: what is joined.
        own: the model's own attention function.
        module: the attention that calls it.
        states: query, key and value, as the function takes them.
        mask: as the function takes it.
        kwargs: what else it takes.
        causal: whether the function hides later columns by itself.
    """
    query, key, value = states
    wide = _widen(mask, prefix, query, key, causal=causal)
    keys = torch.cat([prefix.keys.to(key.dtype), key], dim=2)
    values = torch.cat([prefix.values.to(value.dtype), value], dim=2)
    bias, longer = kwargs.get("position_bias"), kwargs
    if isinstance(bias, Tensor):  # T5: a prefix has no distance, its bias is zero
        longer = {**kwargs, "position_bias": nn.functional.pad(bias, (prefix.keys.shape[2], 0))}
    joined, weights = own(module, query, keys, values, wide, **longer)
    if prefix.value is None:
        return joined, weights
    without, _ = own(module, query, key, value, mask, **kwargs)
    return _weighed(prefix.value, joined, without), weights


def _widen(mask: Tensor | None, prefix: Prefix, query: Tensor, key: Tensor, *, causal: bool) -> Tensor | None:
    """The mask with P columns in front: bool stays bool, an additive one stays additive."""
    length, queries, own = prefix.keys.shape[2], query.shape[2], key.shape[2]
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
