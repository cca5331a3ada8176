"""One call of the attached model: what the hooks of the three sites share while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.errors import SoftPromptError
from softprompt.sites.asking import Around
from softprompt.sites.attention import Join
from softprompt.sites.footprint import Footprint
from softprompt.sites.insertion import extend_mask, insert
from softprompt.sites.layer_skipping import RecordedStates
from softprompt.sites.layout import Layout, Slots
from softprompt.sites.prefix_sharing import SharedPrefix
from softprompt.sites.preplaced import read_layout
from softprompt.sites.producer import Producer, StandIn
from softprompt.sites.recompute import checkpoints


@dataclass
class Call:
    """The state of one forward pass, or of one whole `generate`; what is attached works in it alone.

    Attributes:
        owner: the attached model whose call it is.
        producers: the prompts that were attached when it began.
        footprints: what each of them occupies.
        slots: their virtual ids.
        rows: the prompt of each row of the user's batch.
        around: what works around the calls of the backbone's modules.
        stand_ins: what stands in for the backbone's own parameters.
        training: whether the prompts train.
        dropout: whether the backbone's dropout works while they do.
        inserting: whether the virtual tokens still have to be put into the ids.
        conditioning: columns that may condition an instance-aware prompt, bool, shape `(B, N)`, or None for all.
        select: columns of the user's whose states the head shall see, shape `(B, S)`, or None for all.
        join: the keys and values of the site `attention`.
        layout: the batch with its virtual tokens; None in a decoding step.
        resolved: whether the embedding hook has done its work.
        shared_prefix: how the batch is made up where it runs as one row; else None.
        shows_states: whether the caller wants the states of every layer.
        states_below: states that are given in the place of the lowest layers, or recorded for that; None for neither.
        calls: how often each layer has run, by its first place (shared layers run several times).
        began: whether the backbone's body was reached.
        checkpointed: whether a layer computes inside a checkpoint, where its dropout rests.
    """

    owner: Any
    producers: tuple[Producer, ...]
    footprints: tuple[Footprint, ...]
    slots: tuple[Slots, ...]
    rows: tuple[int, ...]
    around: Mapping[nn.Module, Around]
    stand_ins: Mapping[nn.Module, StandIn]
    training: bool
    dropout: bool
    inserting: bool
    join: Join
    conditioning: Tensor | None = None
    select: Tensor | None = None
    layout: Layout | None = None
    resolved: bool = False
    shared_prefix: SharedPrefix | None = None
    shows_states: bool = False
    states_below: RecordedStates | None = None
    calls: dict[int, int] = field(default_factory=dict)
    began: bool = False
    checkpointed: bool = False

    def tensor(self, module: nn.Module, name: str) -> Tensor | None:
        """What stands in the place of a module's parameter, or None."""
        found = self.stand_ins.get(module)
        return None if found is None else found.tensors.get(name)

    def trains(self, module: nn.Module) -> bool | None:
        """The training flag of a module, or None for its own.

        Only layers that checkpoint must believe that they train, or they keep what they should recompute; while they
        compute, their dropout rests all the same.
        """
        if not self.training:
            return None
        return self.dropout or (not self.checkpointed and checkpoints(module))

    @property
    def keep(self) -> Tensor | None:
        """The column of each of the user's columns, shape `(B, N)`, or None where nothing was inserted."""
        return None if self.layout is None else self.layout.keep

    def columns(self, selected: Tensor) -> Tensor:
        """Columns of the running batch for columns `(B, S)` of the user's: the same shape, or one row `(1, B * S)`."""
        if self.shared_prefix is not None:
            return self.shared_prefix.columns(selected)
        return selected if self.keep is None else self.keep.gather(1, selected)

    def rows_of(self, batch: int) -> tuple[int, ...]:
        """The rows for a batch that generation or a multiple-choice head repeated row by row.

        Raises:
            SoftPromptError: the batch is no multiple of the rows.
        """
        if batch % len(self.rows):
            raise SoftPromptError(f"`prompts` names {len(self.rows)} rows, but the batch has {batch}")
        repeat = batch // len(self.rows)
        return self.rows if repeat == 1 else tuple(row for row in self.rows for _ in range(repeat))


# What flash attention derives from positions; it does so again once the virtual tokens are in.
_DERIVED = ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k")


def begin(call: Call, anatomy: Anatomy, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Rewrite what the body is called with: ids, mask, positions and token types of the whole sequence."""
    slots = call.slots
    ids = _ids(call, kwargs)
    call.resolved, call.layout = False, None
    call.calls.clear()
    rows = call.rows_of(ids.shape[0])
    mask, ready = _flat(kwargs.get("attention_mask"))
    if ready is not None and call.inserting and any(slots[row].count for row in rows):
        raise SoftPromptError("virtual tokens need an attention_mask of shape (batch, tokens); another form was given")
    seen = _seen(kwargs.get("past_key_values"), ids)
    if seen is not None:
        return _step(call, anatomy, rows, ids, seen, mask, ready, kwargs)
    conditioning = _conditioning(call, ids)
    positions = kwargs.get("position_ids")
    positions = None if positions is None else positions.expand(ids.shape[0], -1)
    placed = not call.inserting or holds_virtual(ids, anatomy)
    check_length(anatomy, ids, mask, [slots[row] for row in rows], placed)
    if placed:
        layout = read_layout(
            ids, mask, positions, conditioning, slots, rows, anatomy.position_offset, anatomy.vocab_size
        )
    else:
        layout = insert(ids, mask, positions, conditioning, slots, rows, anatomy.position_offset)
    changed = {**kwargs, "attention_mask": layout.mask if ready is None else ready}
    if kwargs.get("input_ids") is not None:
        skipped, seen = anatomy.uncounted, layout.mask
        changed["input_ids"] = (
            layout.ids if skipped is None or seen is None else layout.ids.masked_fill(seen == 0, skipped)
        )
    if layout.keep is not None:
        changed = {name: value for name, value in changed.items() if name not in _DERIVED}
    if anatomy.takes_position_ids:
        changed["position_ids"] = layout.positions
    if layout.packed:
        if anatomy.kind != "causal":
            raise SoftPromptError(
                f"family {anatomy.family!r} attends across packed documents: give it one document a row"
            )
        changed["use_cache"] = False  # where a cache is made, transformers no longer keeps documents apart
    changed.update(_beside(kwargs, layout, ids.shape))
    if anatomy.kind == "encoder" and mask is not None:
        layout = replace(layout, keep=_first_for_padding(layout.keep, mask))
    call.layout = layout
    return changed


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


def _ids(call: Call, kwargs: dict[str, Any]) -> Tensor:
    """The ids `(B, N)`; where embeddings came instead, ids in their place for a prompt that needs none."""
    ids: Tensor | None = kwargs.get("input_ids")
    if ids is not None:
        return ids
    if any(call.slots[row].count for row in call.rows):
        raise SoftPromptError("this prompt stands in the sequence as virtual tokens: pass input_ids, not inputs_embeds")
    embedded: Tensor = kwargs["inputs_embeds"]
    return torch.zeros(embedded.shape[:2], dtype=torch.long, device=embedded.device)


def _seen(past: Any, ids: Tensor) -> int | Tensor | None:
    """How many columns the cache holds where this call continues one; None where it opens a sequence."""
    if past is None:
        return None
    if torch.compiler.is_compiling():
        return past.get_seq_length() if ids.shape[1] == 1 else None
    length = past.get_seq_length()
    return length if int(length) else None


def _conditioning(call: Call, ids: Tensor) -> Tensor | None:
    """The columns that may condition a prompt, for repeated rows; tokens that `generate` added are none of them."""
    given = call.conditioning
    if given is None:
        return None
    given = given.repeat_interleave(ids.shape[0] // given.shape[0], 0) if given.shape[0] != ids.shape[0] else given
    added = 0 if call.inserting else ids.shape[1] - given.shape[1]
    return torch.nn.functional.pad(given, (0, added)) if added else given


def _flat(mask: Any) -> tuple[Tensor | None, Any]:
    """A mask over tokens `(B, N)`, and a ready one in any other form (static caches: 4-D, or by layer type)."""
    if isinstance(mask, Tensor) and mask.ndim == 2:
        return mask, None
    return None, mask


def holds_virtual(ids: Tensor, anatomy: Anatomy) -> bool:
    """Whether a template placed the virtual tokens; a compiled graph cannot choose by it, so there it is an error."""
    if not torch.compiler.is_compiling():
        return bool((ids >= anatomy.vocab_size).any())
    torch._assert_async((ids < anatomy.vocab_size).all(), "a compiled model takes ids without virtual tokens")
    return False


def _beside(kwargs: dict[str, Any], layout: Layout, shape: torch.Size) -> dict[str, Tensor]:
    """What else has a column for each token, 0 at virtual ones: token types, Longformer's global attention."""
    if layout.keep is None:
        return {}
    moved = {}
    for name, values in kwargs.items():
        if name in ("input_ids", "inputs_embeds", "attention_mask", "position_ids") or not isinstance(values, Tensor):
            continue
        if values.shape[:2] == shape:
            columns = layout.keep.view(*shape, *[1] * (values.ndim - 2)).expand_as(values)
            moved[name] = values.new_zeros(*layout.ids.shape, *values.shape[2:]).scatter(1, columns, values)
    return moved


def _first_for_padding(keep: Tensor | None, mask: Tensor) -> Tensor:
    """Columns `(B, N)` in which padding stands for the row's first token.

    Heads that read column 0 then find it wherever the padding is.
    """
    columns = torch.arange(mask.shape[1], device=mask.device).expand_as(mask) if keep is None else keep
    first = columns.gather(1, mask.long().argmax(-1, keepdim=True))
    return torch.where(mask.bool(), columns, first)


def check_length(anatomy: Anatomy, ids: Tensor, mask: Tensor | None, chosen: Sequence[Slots], placed: bool) -> None:
    """A look at the mask, which waits for an accelerator, happens only where the padded width is too long."""
    limit = anatomy.max_positions
    if not anatomy.absolute or limit is None:
        return
    added = [s.prefix + s.count * (int(s.shift) - int(placed)) for s in chosen]
    if ids.shape[1] + max(added) <= limit:
        return
    own = torch.full((len(chosen),), ids.shape[1]) if mask is None else mask.sum(-1).cpu()
    length = int((own + torch.tensor(added)).max())
    if length > limit:
        raise SoftPromptError(
            f"the text and its prompt take {length} positions, but the backbone ({anatomy.family}) has {limit}: "
            "shorten the text (max_length) or the prompt (num_virtual_tokens)"
        )


def _step(
    call: Call,
    anatomy: Anatomy,
    rows: tuple[int, ...],
    ids: Tensor,
    seen: int | Tensor,
    mask: Tensor | None,
    ready: Any,
    kwargs: dict[str, Any],
) -> dict[str, Any]:
    """A call that continues a cache: no new virtual tokens, but a mask and positions that count the old ones."""
    positions, slots = kwargs.get("position_ids"), call.slots
    chosen = [slots[row] for row in rows]
    width, queries = max(s.count for s in chosen), ids.shape[1]
    own = call.inserting and width > 0
    if own and any(s.placement == "end" for s in chosen):
        raise SoftPromptError("a prompt placed at the end continues a cache only through `generate`")
    if queries > 1 and holds_virtual(ids, anatomy):
        raise SoftPromptError("virtual tokens stand in ids that continue a cache: they belong to the first call")
    if own and mask is None and len({s.count for s in chosen}) > 1:
        mask = torch.ones(len(rows), int(seen) + queries - width, dtype=torch.long, device=ids.device)
    if own and mask is not None and (torch.compiler.is_compiling() or mask.shape[1] < int(seen) + queries):
        mask = extend_mask(mask, slots, rows)
    shift = torch.tensor([s.prefix for s in chosen], device=ids.device)[:, None]
    if positions is not None:
        moved = torch.tensor([s.count * s.shift for s in chosen], device=ids.device)[:, None]
        positions = positions + shift + (moved if own else 0)
    elif mask is not None:
        positions = (mask.long().cumsum(-1) - 1).clamp(min=0)[:, -queries:] + shift + anatomy.position_offset
    elif any(s.prefix for s in chosen):
        start = torch.arange(queries, device=ids.device)[None, :] + seen
        positions = start + shift + anatomy.position_offset
    changed = {**kwargs, "attention_mask": mask if ready is None else ready}
    if anatomy.takes_position_ids:
        changed["position_ids"] = positions
    return changed
