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
_OTHERS = ("position_bias", "cache", "softcap", "output_attentions")  # what it is not written for, beside dropout


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
        if mask is None and is_causal("sdpa", module, kwargs):
            mask = torch.ones(1, 1, query.shape[2], key.shape[2], dtype=torch.bool).tril()
        scaling = kwargs.get("scaling")
        assert scaling is None or isinstance(scaling, float)
        return attended(query, key, value, mask, query.shape[-1] ** -0.5 if scaling is None else scaling), None

    return attend


def _is_quicker(query: Tensor, key: Tensor, mask: Tensor | None, kwargs: Mapping[str, object]) -> bool:
    if (
        torch.compiler.is_compiling()
        or query.dtype != torch.bfloat16
        or query.device.type != "cpu"
        or kwargs.get("dropout")
    ):
        return False
    if any(kwargs.get(name) is not None and kwargs[name] is not False for name in _OTHERS):
        return False
    rows, heads, columns = query.shape[:3]
    most = _MOST if key.shape[1] < heads else _MOST // 4
    fits = key.shape[0] == rows and heads % key.shape[1] == 0 and 1 < columns * key.shape[2] <= most
    if mask is None:
        return fits and columns == key.shape[2]
    return fits and mask.ndim == 4 and mask.shape[2:] == (columns, key.shape[2])


def attended(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
    """softmax(Q K^T s) V, the heads that share a key folded into its queries: `(B, N, heads, D)`."""
    rows, heads, width, size = query.shape
    groups = key.shape[1]
    folded = query.reshape(rows * groups, heads // groups * width, size)
    scores = torch.bmm(folded, key.reshape(rows * groups, -1, size).transpose(1, 2)).view(rows, heads, width, -1)
    scores = scores.float() * scaling
    if mask is not None:
        # A row of padding may see nothing, whatever comes of it: the least number leaves it a softmax.
        hidden = torch.finfo(scores.dtype).min
        scores = scores.masked_fill(~mask, hidden) if mask.dtype == torch.bool else scores + mask.float()
    weights = scores.softmax(-1).to(value.dtype).view(*folded.shape[:2], -1)
    made = torch.bmm(weights, value.reshape(rows * groups, key.shape[2], -1))
    return made.view(rows, heads, width, -1).transpose(1, 2)
