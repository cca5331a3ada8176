"""Attention written out as two products and a softmax, where that is quicker than torch's fused kernel.

The fused kernel is slow on a CPU in bfloat16: for 16 rows of 56 tokens it takes 4.4 times as long as the products with
4 heads of 256 that share a key, forward and backward, 5.0 times with 12 heads of 64, and 2.6 and 1.8 times in a forward
pass alone (`benchmarks/written_out.py`). In float32 and for long texts the products gain little or lose, so the model's
own function runs there. Our choice; no method's mathematics changes, and scores are rounded as transformers' eager
attention rounds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn

# An attention function as transformers calls it: output and, where there is one, the map.
Attend: TypeAlias = Callable[..., tuple[Tensor, Tensor | None]]

_MOST = 1 << 16  # scores of a head, above which the fused kernel is as quick; a quarter where none share their keys
_OTHERS = ("cache", "softcap", "output_attentions")  # what it is not written for, beside dropout


def is_causal(implementation: str, module: nn.Module, kwargs: Mapping[str, object]) -> bool:
    """Whether the model's own function hides later columns where it is given no mask: eager attention never does."""
    told = kwargs.get("is_causal")
    return implementation == "sdpa" and bool(getattr(module, "is_causal", True) if told is None else told)


def written_out(own: Attend) -> Attend:
    """Transformers' `sdpa` attention, which is written out where that is quicker.

    Args:
        own: transformers' function.
    """

    def attend(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **kwargs: object
    ) -> tuple[Tensor, Tensor | None]:
        if not _is_quicker(query, key, mask, kwargs):
            return own(module, query, key, value, mask, **kwargs)
        if mask is None and query.shape[2] > 1 and is_causal("sdpa", module, kwargs):
            mask = torch.ones(1, 1, query.shape[2], key.shape[2], dtype=torch.bool).tril()
        scaling, bias = kwargs.get("scaling"), kwargs.get("position_bias")
        assert isinstance(scaling, int | float | None)
        assert isinstance(bias, Tensor | None)
        return attended(query, key, value, mask, query.shape[-1] ** -0.5 if scaling is None else scaling, bias), None

    return attend


def _is_quicker(query: Tensor, key: Tensor, mask: Tensor | None, kwargs: Mapping[str, object]) -> bool:
    if (
        torch.compiler.is_compiling()
        or query.dtype != torch.bfloat16
        or query.device.type != "cpu"
        or kwargs.get("dropout")
        or not isinstance(kwargs.get("scaling"), int | float | None)
    ):
        return False
    if any(kwargs.get(name) is not None and kwargs[name] is not False for name in _OTHERS):
        return False
    rows, heads, columns = query.shape[:3]
    most = _MOST if key.shape[1] < heads else _MOST // 4
    fits = key.shape[0] == rows and heads % key.shape[1] == 0 and 1 < columns * key.shape[2] <= most
    # T5's bias by distance: it says which column sees which, as a mask does.
    told = [one for one in (mask, kwargs.get("position_bias")) if one is not None]
    square = bool(told) or columns == key.shape[2]
    return fits and square and all(_has_columns(one, columns, key.shape[2]) for one in told)


def _has_columns(told: object, columns: int, keys: int) -> bool:
    """Whether a mask or a bias speaks of these columns of queries and of keys."""
    return isinstance(told, Tensor) and told.ndim == 4 and told.shape[2:] == (columns, keys)


def attended(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float, bias: Tensor | None = None
) -> Tensor:
    """softmax(Q K^T s + b) V, the heads that share a key folded into its queries: `(B, N, heads, D)`."""
    rows, heads, width, size = query.shape
    groups = key.shape[1]
    folded = query.reshape(rows * groups, heads // groups * width, size)
    scores = torch.bmm(folded, key.reshape(rows * groups, -1, size).transpose(1, 2)).view(rows, heads, width, -1)
    scores = scores.float() * scaling
    if bias is not None:
        scores = scores + bias.float()
    if mask is not None:
        # A row of padding may see nothing, whatever comes of it: the least number leaves it a softmax.
        hidden = torch.finfo(scores.dtype).min
        scores = scores.masked_fill(~mask, hidden) if mask.dtype == torch.bool else scores + mask.float()
    weights = scores.softmax(-1).to(value.dtype).view(*folded.shape[:2], -1)
    made = torch.bmm(weights, value.reshape(rows * groups, key.shape[2], -1))
    return made.view(rows, heads, width, -1).transpose(1, 2)
