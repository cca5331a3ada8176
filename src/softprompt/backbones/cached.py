"""What a decoder keeps in its cache, and whether it reads back what stands there.

That is the way of a prefix into families whose attention is no function that could be another (Falcon, BLOOM). One
short row runs whole, and again in two parts of which the second continues the cache of the first. What was found is
kept as long as the body lives and its configuration stays.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from softprompt.backbones.compat import CACHES
from softprompt.backbones.probe import trial_rows
from softprompt.backbones.remembered import Remembered, settings_of
from softprompt.backbones.resting import device_of
from softprompt.backbones.untouched import untouched

_FIRST = 3  # tokens of the first part


class Kept(NamedTuple):
    """What one layer keeps of a row.

    Attributes:
        keys: shape `(1, K, T, D)`.
        values: as `keys`, of a width that may be another.
    """

    keys: Tensor
    values: Tensor


Sizes: TypeAlias = tuple[tuple[int, int, int], ...]  # of each layer K, and the widths of keys and of values

_FOUND: Remembered[Sizes] = Remembered()


def cached_sizes(body: nn.Module, layers: Sequence[nn.Module]) -> Sizes:
    """K and the widths of keys and values that each layer keeps; none where a prefix would not be read from there.

    Args:
        body: a decoder-only model's.
        layers: its layers, in the order of their calls.
    """
    assert isinstance(body, PreTrainedModel)
    state = f"{settings_of(body)} {len(layers)} {device_of(body).type}"
    return _FOUND.of(body, state, lambda: _try(body, len(layers)))


def cache_name(body: nn.Module) -> str | None:
    """The keyword under which a body takes a cache, or None."""
    names = inspect.signature(body.forward).parameters
    return next((name for name in CACHES if name in names), None)


def kept_of(body: nn.Module, row: Tensor) -> list[Kept]:
    """What each layer keeps of a row of ids, `(1, T)`."""
    cache = DynamicCache()
    _run(body, row, 0, cache)
    return [Kept(keys, values) for keys, values, *_ in cache if keys is not None and values is not None]


def _try(body: PreTrainedModel, count: int) -> Sizes:
    if device_of(body).type == "meta" or cache_name(body) is None:
        return ()
    row, parts = trial_rows(body, 1)[:1], DynamicCache()
    try:
        with untouched(body):
            kept = kept_of(body, row)
            whole = _run(body, row, 0, DynamicCache())
            _run(body, row, 0, parts, until=_FIRST)
            rest = _run(body, row, _FIRST, parts)
    except Exception:  # a model may raise anything
        return ()
    shapes = [(one.keys.shape, one.values.shape) for one in kept if one.keys.ndim == one.values.ndim == 4]
    if len(shapes) != count or any(keys[2] != row.shape[1] or values[2] != row.shape[1] for keys, values in shapes):
        return ()
    near = max(1e-3, 16 * torch.finfo(whole.dtype).eps) * whole.float().norm()
    if not bool((whole[:, _FIRST:].float() - rest.float()).norm() <= near):
        return ()
    return tuple((keys[1], keys[3], values[3]) for keys, values in shapes)


def _run(body: nn.Module, row: Tensor, start: int, cache: DynamicCache, until: int | None = None) -> Tensor:
    """The last states of a part of a row, behind what the cache holds."""
    until = row.shape[1] if until is None else until
    given: dict[str, object] = {
        "attention_mask": torch.ones_like(row[:, :until]),
        "position_ids": torch.arange(start, until, device=row.device)[None],
        "use_cache": True,
        str(cache_name(body)): cache,
    }
    names = inspect.signature(body.forward).parameters
    output = body.forward(input_ids=row[:, start:until], **{k: v for k, v in given.items() if k in names})
    states: Tensor = output[0]
    return states
