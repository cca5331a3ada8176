"""Site `attention` by way of the cache: keys and values stand in front of a decoder's own while it runs.

So P-Tuning v2's and Prefix-Tuning's official codes hand them over, as `past_key_values`. Here it is the way into
decoders whose attention is no function that another could take the place of (Falcon, BLOOM, GPT-J), and into those that
make of what they keep something else than their function is told: DiffLlama gives it each half of its values in turn,
Doge makes its mask of the values. Behind the call they are taken out again, so that the cache holds the model's own
alone, as at the other way; and every layer has as many, for its mask is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from typing import TypeAlias, cast

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.cached import cache_name
from softprompt.backbones.compat import cache_in
from softprompt.errors import SoftPromptError
from softprompt.sites.forward_call import Call
from softprompt.sites.joined_attention import Prefix
from softprompt.sites.outputs import Output

Run: TypeAlias = Callable[[dict[str, object]], Output]


def run_through_cache(
    call: Call, anatomy: Anatomy, given: dict[str, object], run: Run, *, columns_count: bool
) -> Output:
    """A body's output with the prefixes of a call in its cache.

    Args:
        call: the open call.
        anatomy: the parts of the backbone.
        given: the body's arguments.
        run: runs the body: its arguments to its output.
        columns_count: whether columns between prefix and text, though nobody sees them, would move the text.

    Raises:
        SoftPromptError: the cache, the mask or the prefix is of a kind that cannot be lent in this way, or the layers
            did without the cache.
    """
    ids = given.get("input_ids")
    shape = ids if isinstance(ids, Tensor) else given.get("inputs_embeds")
    assert isinstance(shape, Tensor)
    rows, columns = shape.shape[:2]
    prefixes = _prefixes(call, anatomy, rows)
    if not prefixes:
        return run(given)
    _refuse(call, anatomy, prefixes[0], columns_count=columns_count)
    wanted, cache = cache_in(given), cache_in(given) or DynamicCache()
    own = cache.get_seq_length()
    mask = _wide(given.get("attention_mask"), prefixes[0], (rows, own + columns), shape.device)
    name = cache_name(anatomy.body)
    assert name is not None
    _lend(cache, prefixes, anatomy.family)
    try:
        output = run({**given, name: cache, "attention_mask": mask})
        _see_read(cache, anatomy, own + columns + prefixes[0].keys.shape[2])
    finally:
        _take_back(cache, prefixes)
    if wanted is None and given.get("use_cache") is False and isinstance(output, MutableMapping) and name in output:
        cast("MutableMapping[str, object]", output)[name] = None
    return output


def _prefixes(call: Call, anatomy: Anatomy, rows: int) -> list[Prefix]:
    """The prefix of each layer; none where no row has one.

    Raises:
        SoftPromptError: some layers have one and others have none.
    """
    dtype = next(anatomy.body.parameters()).dtype
    layers = enumerate(anatomy.layers)
    found = [call.join.of_layer("body", place, layer, rows, dtype) for place, layer in layers]
    made = [one for one in found if one is not None]
    for one in made:
        one.waiting.clear()
    if made and len({0 if one is None else one.keys.shape[2] for one in found}) > 1:
        raise SoftPromptError(
            f"family {anatomy.family!r} takes keys and values through its cache, where all layers have as many: leave "
            "select out"
        )
    return made


def _refuse(call: Call, anatomy: Anatomy, prefix: Prefix, *, columns_count: bool) -> None:
    if torch.compiler.is_compiling():
        why = "does not compile: leave torch.compile out"
    elif anatomy.checkpoints and call.training:
        why = "is kept from layers that checkpoint: turn gradient checkpointing off"
    elif columns_count and prefix.seen is not None and not bool(prefix.seen.all()):
        why = "has as many for every row: call prompts of several lengths apart"
    else:
        return
    raise SoftPromptError(f"family {anatomy.family!r} takes keys and values through its cache, which {why}")


def _wide(mask: object, prefix: Prefix, shape: tuple[int, int], device: torch.device) -> Tensor:
    """The mask `(B, P + T)` over prefix, cache and text."""
    if mask is not None and not (isinstance(mask, Tensor) and mask.ndim == 2):
        raise SoftPromptError("keys and values in a cache need an attention_mask of shape (batch, tokens)")
    seen = torch.ones(shape, dtype=torch.long, device=device) if mask is None else mask
    front = seen.new_ones(shape[0], prefix.keys.shape[2]) if prefix.seen is None else prefix.seen.to(seen.dtype)
    return torch.cat([front, seen], dim=1)


def _lend(cache: Cache, prefixes: Sequence[Prefix], family: str) -> None:
    """Put prefixes in front of what a cache holds."""
    if any(prefix.value is not None for prefix in prefixes):
        raise SoftPromptError(
            f"family {family!r} takes keys and values through its cache, where they cannot be weighed: take p_tuning_v2"
        )
    if any(type(layer) is not DynamicLayer for layer in cache.layers):
        raise SoftPromptError(
            f"family {family!r} takes keys and values through its cache: give a DynamicCache(), or none"
        )
    for place, prefix in enumerate(prefixes):
        held = cache.layers[place] if place < len(cache.layers) else None
        keys, values = (None, None) if not isinstance(held, DynamicLayer) else (held.keys, held.values)
        if not isinstance(held, DynamicLayer) or keys is None or values is None:
            cache.update(prefix.keys, prefix.values, place)
        else:
            held.keys = torch.cat([prefix.keys.to(keys), keys], dim=2)
            held.values = torch.cat([prefix.values.to(values), values], dim=2)


def _held(cache: Cache) -> list[Tensor]:
    """The keys of each layer of a cache."""
    return [one.keys for one in cache.layers if isinstance(one, DynamicLayer) and one.keys is not None]


def _see_read(cache: Cache, anatomy: Anatomy, columns: int) -> None:
    if any(keys.shape[2] != columns for keys in _held(cache)):
        raise SoftPromptError(
            f"family {anatomy.family!r} does not read keys and values from its cache: take a method of another site, "
            "such as prompt_tuning"
        )


def _take_back(cache: Cache, prefixes: Sequence[Prefix]) -> None:
    for layer, prefix in zip(cache.layers, prefixes, strict=False):
        count = prefix.keys.shape[2]
        if isinstance(layer, DynamicLayer) and layer.keys is not None and layer.values is not None:
            layer.keys, layer.values = layer.keys[:, :, count:], layer.values[:, :, count:]
