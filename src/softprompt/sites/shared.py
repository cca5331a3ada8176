"""Virtual tokens whose states no row can change: computed once and lent to the whole batch.

On a causal model tokens in front of the text never see it. Where a prompt's vectors do not depend on the text either,
every row would compute the same P columns; here one row computes them into a cache, which takes part in the gradient,
and the text of all rows continues it. Our choice; no method's mathematics changes, only the order of its sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from softprompt.sites.anatomy import Anatomy
from softprompt.sites.layout import Slots
from softprompt.sites.producer import Producer


def shares(
    anatomy: Anatomy, slots: Sequence[Slots], prompts: Sequence[Producer], rows: tuple[int, ...], given: dict[str, Any]
) -> bool:
    """Whether a call of the body may lend its rows one set of virtual columns.

    It must want nothing that would show the difference (a cache, attention maps, checkpoints of the layers).

    Args:
        anatomy: the parts of the backbone.
        slots: the bank's virtual ids.
        prompts: the bank.
        rows: the prompt of each row.
        given: the body's arguments.
    """
    body: Any = anatomy.body
    ids, mask = given.get("input_ids"), given.get("attention_mask")
    slot, prompt = slots[rows[0]], prompts[rows[0]]
    return (
        anatomy.kind == "causal"
        and len(rows) > 1
        and len(set(rows)) == 1
        and prompt.static
        and slot.count > 0
        and slot.placement == "front"
        and not prompt.prefix
        and given.get("use_cache") is False
        and given.get("past_key_values") is None
        and given.get("position_ids") is None
        and not given.get("output_attentions")
        and not body.config.output_attentions
        and not anatomy.checkpoints
        and not torch.compiler.is_compiling()
        and isinstance(ids, Tensor)
        and (mask is None or mask.ndim == 2)
        and _in_window(body.config, slot.count + ids.shape[1])
    )


def _in_window(config: Any, width: int) -> bool:
    """Left padding comes to stand between prompt and text: no layer's window may be so short that it would tell."""
    window = getattr(config, "sliding_window", None)
    return window is None or width <= window


def columns(anatomy: Anatomy, ids: Tensor) -> DynamicCache:
    """Keys and values of the virtual tokens, made by one row and repeated for each row of `ids`, `(B, N)`.

    The hooks put the virtual tokens into a text of no tokens.
    """
    body: Any = anatomy.body
    cache = DynamicCache(config=body.config)
    body(input_ids=ids[:1, :0], past_key_values=cache, use_cache=True)
    cache.batch_repeat_interleave(ids.shape[0])
    return cache


def continued(anatomy: Anatomy, cache: DynamicCache, count: int, given: dict[str, Any]) -> dict[str, Any]:
    """The body's arguments for text `(B, N)` after `count` virtual tokens that stand in `cache`."""
    mask: Tensor | None = given.get("attention_mask")
    changed = {**given, "past_key_values": cache}
    if mask is None:
        return changed
    changed["attention_mask"] = torch.nn.functional.pad(mask, (count, 0), value=1)
    if anatomy.takes_position_ids:
        changed["position_ids"] = (mask.long().cumsum(-1) - 1).clamp(min=0) + count + anatomy.position_offset
    return changed
