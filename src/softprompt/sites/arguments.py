"""What the body is called with: ids, mask, positions and token types of the whole sequence, virtual tokens in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.compat import assert_async, cache_in, length_of
from softprompt.errors import SoftPromptError
from softprompt.sites.forward_call import Call
from softprompt.sites.insertion import extend_mask, insert
from softprompt.sites.layout import Layout, Slots, UserBatch
from softprompt.sites.positions import of_rows, prefix_of, step_positions
from softprompt.sites.preplaced import read_layout

_NO_LABEL = -100  # what losses leave out
# What flash attention derives from positions; it does so again once the virtual tokens are in.
_DERIVED = ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k")

# How the names of images, sounds, their sizes and what is encoded begin, or end: of these no axis is the text's.
_BEGIN = ("pixel_", "input_features", "input_values", "feature_", "encoder_")
_END = ("_sizes", "_thw", "_features", "_embeds")


def begin(call: Call, anatomy: Anatomy, given: Mapping[str, object]) -> dict[str, object]:
    """Rewrite what the body is called with, and let the call know its layout; see the module.

    Args:
        call: the open call.
        anatomy: the parts of the backbone.
        given: the body's arguments by name.

    Raises:
        SoftPromptError: the virtual tokens have no place in them.
    """
    ids = _ids(call, given)
    call.resolved, call.layout, call.positions, call.moved = False, None, None, None
    call.calls.clear()
    rows = call.rows_of(ids.shape[0])
    mask, ready = _mask_of(given)
    if mask is None and ready is None and call.mask is not None and call.mask.shape == ids.shape:
        mask = call.mask
    if ready is not None and call.inserting and any(call.slots[row].count for row in rows):
        raise SoftPromptError("virtual tokens need an attention_mask of shape (batch, tokens); another form was given")
    seen = _length_seen(given, ids)
    if seen is not None:
        return _step(call, anatomy, ids, seen, given)
    positions = of_rows(_tensor(given, "position_ids"), ids.shape[0], mask)
    batch = UserBatch(ids, mask, positions, conditioning_of(call, ids))
    preplaced = not call.inserting or holds_virtual(ids, anatomy)
    check_length(anatomy, ids, mask, [call.slots[row] for row in rows], preplaced)
    if preplaced:
        layout = read_layout(batch, call.slots, rows, anatomy.position_offset, anatomy.vocab_size)
    else:
        layout = insert(batch, call.slots, rows, anatomy.position_offset)
    changed = {**given, "attention_mask": layout.mask if ready is None else ready, **_whole(layout, anatomy, given)}
    changed |= _told(call, anatomy, rows, given, layout.positions)
    if anatomy.kind == "encoder" and mask is not None:
        layout = replace(layout, keep=_first_for_padding(layout.keep, mask))
    call.layout = layout
    return changed if layout.keep is None else {key: one for key, one in changed.items() if key not in _DERIVED}


def _whole(layout: Layout, anatomy: Anatomy, given: Mapping[str, object]) -> dict[str, object]:
    """The arguments of the whole sequence beside its mask."""
    changed: dict[str, object] = {}
    if given.get("input_ids") is not None:
        skipped, seen = anatomy.uncounted, layout.mask
        whole = layout.ids if skipped is None or seen is None else layout.ids.masked_fill(seen == 0, skipped)
        changed["input_ids"] = whole
    if layout.packed:
        if anatomy.kind != "causal":
            raise SoftPromptError(
                f"family {anatomy.family!r} attends across packed documents: give it one document a row"
            )
        changed["use_cache"] = False  # where a cache is made, transformers no longer keeps documents apart
    return {**changed, **beside(given, layout)}


def _told(
    call: Call, anatomy: Anatomy, rows: Sequence[int], given: Mapping[str, object], positions: Tensor | None
) -> dict[str, object]:
    """The body's positions, where it takes them; what a module inside it is told, the call knows."""
    own = given.get("position_ids") is not None
    call.positions = positions
    call.moved = None if own or positions is None else prefix_of([call.slots[row] for row in rows], positions.device)
    inside = anatomy.positions is not None and not own
    return {"position_ids": positions} if anatomy.takes_position_ids and not inside else {}


def cross_mask(call: Call, mask: Tensor | None, states: Tensor) -> Tensor | None:
    """The decoder's mask over the encoder's states `(B, T, H)`, virtual tokens among them: `(B, T)` or None."""
    slots, shown = call.slots, [one.visible_to_decoder for one in call.footprints]
    rows = call.rows_of(states.shape[0])
    hidden = any(slots[row].count and not shown[row] for row in rows)
    ragged = len({slots[row].count for row in rows}) > 1
    if mask is None:
        if not (hidden or ragged):
            return None
        width = max(slots[row].count for row in rows)
        mask = torch.ones(states.shape[0], states.shape[1] - width, dtype=torch.long, device=states.device)
    if mask.shape[1] == states.shape[1]:
        return mask
    return extend_mask(mask, slots, rows, [int(shown[row]) for row in rows])


def _tensor(given: Mapping[str, object], name: str) -> Tensor | None:
    value = given.get(name)
    return value if isinstance(value, Tensor) else None


def _ids(call: Call, given: Mapping[str, object]) -> Tensor:
    """The ids `(B, N)`; where embeddings came instead, ids in their place for a prompt that needs none."""
    ids, embedded = _tensor(given, "input_ids"), _tensor(given, "inputs_embeds")
    if ids is not None:
        return ids
    if any(call.slots[row].count for row in call.rows):
        raise SoftPromptError("this prompt stands in the sequence as virtual tokens: pass input_ids, not inputs_embeds")
    if embedded is None:
        raise SoftPromptError("the attached model was called without input_ids")
    return torch.zeros(embedded.shape[:2], dtype=torch.long, device=embedded.device)


def _length_seen(given: Mapping[str, object], ids: Tensor) -> int | None:
    """How many columns the cache holds where this call continues one; None where it opens a sequence.

    A compiled graph has a tensor for it, which it must not look into.
    """
    past = cache_in(given)
    if past is None:
        return None
    if not hasattr(past, "get_seq_length"):
        raise SoftPromptError(
            f"the cache (past_key_values) is a {type(past).__name__}: pass a cache, such as DynamicCache()"
        )
    if torch.compiler.is_compiling() and ids.shape[1] != 1:
        return None
    length = length_of(past)
    return length if torch.compiler.is_compiling() or int(length) else None


def conditioning_of(call: Call, ids: Tensor) -> Tensor | None:
    """The columns that may condition a prompt, for repeated rows; tokens that `generate` added are none of them."""
    given = call.conditioning
    if given is None:
        return None
    given = given.repeat_interleave(ids.shape[0] // given.shape[0], 0) if given.shape[0] != ids.shape[0] else given
    added = 0 if call.inserting else ids.shape[1] - given.shape[1]
    return torch.nn.functional.pad(given, (0, added)) if added else given


def _mask_of(given: Mapping[str, object]) -> tuple[Tensor | None, object]:
    """A mask over tokens `(B, N)`, and a ready one in any other form (static caches: 4-D, or by layer type)."""
    mask = given.get("attention_mask")
    return (mask, None) if isinstance(mask, Tensor) and mask.ndim == 2 else (None, mask)


def holds_virtual(ids: Tensor, anatomy: Anatomy) -> bool:
    """Whether a template placed the virtual tokens; a compiled graph cannot choose by it, so there it is an error."""
    if not torch.compiler.is_compiling():
        return bool((ids >= anatomy.vocab_size).any())
    assert_async((ids < anatomy.vocab_size).all(), "a compiled model takes ids without virtual tokens")
    return False


def is_of_images(name: str) -> bool:
    """Whether an argument is of images or sounds, by its name."""
    return name.startswith(_BEGIN) or name.endswith(_END)


def beside(given: Mapping[str, object], layout: Layout) -> dict[str, Tensor]:
    """What else has a column for each token, 0 at virtual ones: token types, Longformer's global attention.

    Labels reach the body of a model whose head is inside, where virtual tokens have none.
    What is of images or sounds has axes of its own, which may chance to be as long.
    """
    if layout.keep is None:
        return {}
    shape, moved = layout.keep.shape, {}
    for name, values in given.items():
        if name in ("input_ids", "inputs_embeds", "attention_mask", "position_ids") or not isinstance(values, Tensor):
            continue
        if values.shape[:2] == shape and not is_of_images(name):
            columns = layout.keep.view(*shape, *[1] * (values.ndim - 2)).expand_as(values)
            empty = values.new_full((*layout.ids.shape, *values.shape[2:]), _NO_LABEL if name == "labels" else 0)
            moved[name] = empty.scatter(1, columns, values)
    return moved


def _first_for_padding(keep: Tensor | None, mask: Tensor) -> Tensor:
    """Columns `(B, N)` in which padding stands for the row's first token.

    Heads that read column 0 then find it wherever the padding is.
    """
    columns = torch.arange(mask.shape[1], device=mask.device).expand_as(mask) if keep is None else keep
    first = columns.gather(1, mask.long().argmax(-1, keepdim=True))
    return torch.where(mask.bool(), columns, first)


def check_length(anatomy: Anatomy, ids: Tensor, mask: Tensor | None, chosen: Sequence[Slots], preplaced: bool) -> None:
    """See that every row has room; a look at the mask, which waits for an accelerator, only where the width has none.

    Raises:
        SoftPromptError: a text and its prompt take more positions than there are.
    """
    limit = anatomy.max_positions
    if not anatomy.absolute or limit is None:
        return
    added = [s.prefix + s.count * (int(s.shift) - int(preplaced)) for s in chosen]
    if ids.shape[1] + max(added) <= limit:
        return
    own = torch.full((len(chosen),), ids.shape[1]) if mask is None else mask.sum(-1).cpu()
    length = int((own + torch.tensor(added)).max())
    if length > limit:
        raise SoftPromptError(
            f"the text and its prompt take {length} positions, but the backbone ({anatomy.family}) has {limit}: "
            "shorten the text (max_length) or the prompt (num_virtual_tokens)"
        )


def _step(call: Call, anatomy: Anatomy, ids: Tensor, seen: int, given: Mapping[str, object]) -> dict[str, object]:
    """A call that continues a cache: no new virtual tokens, but a mask and positions that count the old ones."""
    rows, (mask, ready) = call.rows_of(ids.shape[0]), _mask_of(given)
    chosen, queries = [call.slots[row] for row in rows], ids.shape[1]
    width = max(slots.count for slots in chosen)
    own = call.inserting and width > 0
    if own and any(slots.placement == "end" for slots in chosen):
        raise SoftPromptError("a prompt placed at the end continues a cache only through `generate`")
    if queries > 1 and holds_virtual(ids, anatomy):
        raise SoftPromptError("virtual tokens stand in ids that continue a cache: they belong to the first call")
    if own and mask is None and len({slots.count for slots in chosen}) > 1:
        mask = torch.ones(len(rows), int(seen) + queries - width, dtype=torch.long, device=ids.device)
    if own and mask is not None and (torch.compiler.is_compiling() or mask.shape[1] < int(seen) + queries):
        mask = extend_mask(mask, call.slots, rows)
    positions = _tensor(given, "position_ids")
    positions = step_positions(ids, positions, mask, chosen, own, seen, anatomy.position_offset)
    changed = {**given, "attention_mask": mask if ready is None else ready}
    return {**changed, **_told(call, anatomy, rows, given, positions)}
