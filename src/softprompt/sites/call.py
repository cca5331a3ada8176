"""One call of the attached model: what the hooks of the three sites share while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.sites.anatomy import Anatomy
from softprompt.sites.attention import Join
from softprompt.sites.layout import Layout, Slots, extend_mask, insert, read
from softprompt.sites.producer import Producer


@dataclass
class Call:
    """The state of one forward pass, or of one whole `generate`.

    Attributes:
        rows: the prompt of each row of the user's batch.
        inserting: whether the virtual tokens still have to be put into the ids.
        conditioning: columns that may condition an instance-aware prompt, bool, shape `(B, N)`, or None for all.
        select: columns of the user's whose states the head shall see, shape `(B, S)`, or None for all.
        join: the keys and values of the site `attention`.
        layout: the batch with its virtual tokens; None in a decoding step.
        resolved: whether the embedding hook has done its work.
        calls: how often each layer module has run (shared layers run several times).
    """

    rows: tuple[int, ...]
    inserting: bool
    join: Join
    conditioning: Tensor | None = None
    select: Tensor | None = None
    layout: Layout | None = None
    resolved: bool = False
    calls: dict[int, int] = field(default_factory=dict)

    def rows_of(self, batch: int) -> tuple[int, ...]:
        """The rows for a batch that generation or a multiple-choice head repeated row by row.

        Raises:
            SoftPromptError: the batch is no multiple of the rows.
        """
        if batch % len(self.rows):
            raise SoftPromptError(f"`prompts` names {len(self.rows)} rows, but the batch has {batch}")
        repeat = batch // len(self.rows)
        return self.rows if repeat == 1 else tuple(row for row in self.rows for _ in range(repeat))


def begin(call: Call, anatomy: Anatomy, slots: Sequence[Slots], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Rewrite the keywords with which the body is called: ids, mask, positions and token types of the whole sequence."""
    ids = kwargs.get("input_ids")
    if ids is None:
        return _embedded(call, slots, kwargs)
    call.resolved, call.layout = False, None
    call.calls.clear()
    rows = call.rows_of(ids.shape[0])
    mask = kwargs.get("attention_mask")
    if mask is not None and (not isinstance(mask, Tensor) or mask.ndim != 2):
        raise SoftPromptError("attach reads a 2-D attention_mask of shape (batch, tokens); another form was given")
    seen = _seen(kwargs.get("past_key_values"), ids)
    if seen is not None:
        return _step(call, anatomy, slots, rows, seen, kwargs)
    conditioning = call.conditioning
    if conditioning is not None and conditioning.shape[0] != ids.shape[0]:
        conditioning = conditioning.repeat_interleave(ids.shape[0] // conditioning.shape[0], 0)
    positions = kwargs.get("position_ids")
    if call.inserting and not _holds_virtual(ids, anatomy):
        layout = insert(ids, mask, positions, conditioning, slots, rows, anatomy.position_offset)
    else:
        layout = read(
            ids, mask, positions, conditioning, slots, rows, anatomy.position_offset, anatomy.vocab_size
        )
    _check_length(anatomy, layout.ids.shape[1] + max(slots[row].prefix for row in set(rows)))
    changed = {**kwargs, "input_ids": layout.ids, "attention_mask": layout.mask}
    if anatomy.takes_position_ids:
        changed["position_ids"] = layout.positions
    types = kwargs.get("token_type_ids")
    if types is not None and layout.keep is not None:
        changed["token_type_ids"] = torch.zeros_like(layout.ids).scatter(1, layout.keep, types)
    if anatomy.kind == "encoder" and mask is not None:
        layout = replace(layout, keep=_first_for_padding(layout.keep, mask))
    call.layout = layout
    return changed


def cross_mask(
    call: Call, slots: Sequence[Slots], prompts: Sequence[Producer], mask: Tensor | None, states: Tensor
) -> Tensor | None:
    """The decoder's mask over the encoder's states `(B, T, H)`, which hold the virtual tokens: shape `(B, T)` or None."""
    rows = call.rows_of(states.shape[0])
    hidden = any(slots[row].count and not prompts[row].visible_to_decoder for row in rows)
    ragged = len({slots[row].count for row in rows}) > 1
    if mask is None:
        if not (hidden or ragged):
            return None
        width = max(slots[row].count for row in rows)
        mask = torch.ones(states.shape[0], states.shape[1] - width, dtype=torch.long, device=states.device)
    if mask.shape[1] == states.shape[1]:
        return mask
    return extend_mask(mask, slots, rows, [int(prompts[row].visible_to_decoder) for row in rows])


def _embedded(call: Call, slots: Sequence[Slots], kwargs: dict[str, Any]) -> dict[str, Any]:
    if any(slots[row].count for row in call.rows):
        raise SoftPromptError(
            "this prompt stands in the sequence as virtual tokens: pass input_ids, not inputs_embeds"
        )
    return kwargs


def _seen(past: Any, ids: Tensor) -> int | Tensor | None:
    """How many columns the cache holds where this call continues one; None where it opens a sequence."""
    if past is None:
        return None
    if torch.compiler.is_compiling():
        return past.get_seq_length() if ids.shape[1] == 1 else None
    length = past.get_seq_length()
    return length if int(length) else None


def _holds_virtual(ids: Tensor, anatomy: Anatomy) -> bool:
    """Whether a template placed the virtual tokens; while compiling the ids are taken for plain ones."""
    return not torch.compiler.is_compiling() and bool((ids >= anatomy.vocab_size).any())


def _first_for_padding(keep: Tensor | None, mask: Tensor) -> Tensor:
    """Columns `(B, N)` in which padding stands for the row's first token: heads that read column 0 then find it
    wherever the padding is."""
    columns = torch.arange(mask.shape[1], device=mask.device).expand_as(mask) if keep is None else keep
    first = columns.gather(1, mask.long().argmax(-1, keepdim=True))
    return torch.where(mask.bool(), columns, first)


def _check_length(anatomy: Anatomy, length: int) -> None:
    if anatomy.absolute and anatomy.max_positions is not None and length > anatomy.max_positions:
        raise SoftPromptError(
            f"the text and its prompt take {length} positions, but the backbone ({anatomy.family}) has "
            f"{anatomy.max_positions}: shorten the text (max_length) or the prompt (num_virtual_tokens)"
        )


def _step(
    call: Call,
    anatomy: Anatomy,
    slots: Sequence[Slots],
    rows: tuple[int, ...],
    seen: int | Tensor,
    kwargs: dict[str, Any],
) -> dict[str, Any]:
    """A call that continues a cache: no new virtual tokens, but a mask and positions that count the old ones."""
    ids, mask, positions = kwargs["input_ids"], kwargs.get("attention_mask"), kwargs.get("position_ids")
    counts = [slots[row].count for row in rows]
    width, queries = max(counts), ids.shape[1]
    own = call.inserting and width > 0
    if own and any(slots[row].placement == "end" for row in rows):
        raise SoftPromptError("a prompt placed at the end continues a cache only through `generate`")
    if own and mask is None and len(set(counts)) > 1:
        mask = torch.ones(len(rows), int(seen) + queries - width, dtype=torch.long, device=ids.device)
    if own and mask is not None and mask.shape[1] < int(seen) + queries:
        mask = extend_mask(mask, slots, rows)
    shift = torch.tensor([slots[row].prefix for row in rows], device=ids.device)[:, None]
    if positions is not None:
        moved = torch.tensor([s.count * s.shift for s in (slots[row] for row in rows)], device=ids.device)[:, None]
        positions = positions + shift + (moved if own else 0)
    elif mask is not None:
        positions = (mask.long().cumsum(-1) - 1).clamp(min=0)[:, -queries:] + shift + anatomy.position_offset
    elif any(slots[row].prefix for row in rows):
        start = torch.arange(queries, device=ids.device)[None, :] + seen
        positions = start + shift + anatomy.position_offset
    changed = {**kwargs, "attention_mask": mask}
    if anatomy.takes_position_ids:
        changed["position_ids"] = positions
    return changed
