"""Prompts behind the text of a causal model: a call runs the columns from the prompt on, over the text's kept keys.

No column sees those behind it. So what a text comes to in each layer, its keys and values, is the same at every step
while the prompt learns; what a step has to run, forward and backward, are the virtual tokens and what stands behind
them. The model's own cache hands the text's keys and values to its attention, padded on the left, so that every column
has the distance to every other that it has in the whole row. A text of which nothing is kept runs first, without a
graph. Our choice; no method's mathematics changes, only the order of its sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

import torch
from torch import Tensor
from transformers import DynamicCache

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.cached import Sizes, cache_name
from softprompt.backbones.compat import CACHES
from softprompt.backbones.shown import SHOWN
from softprompt.backbones.windows import longest_unstretched
from softprompt.sites.asking import opened
from softprompt.sites.attention import watcher
from softprompt.sites.footprint import Footprint
from softprompt.sites.forward_call import Call
from softprompt.sites.kept_texts import Ids, KeptTexts, batch_of, texts_of
from softprompt.sites.layout import Group, Layout
from softprompt.sites.outputs import Output

Run: TypeAlias = Callable[..., Output]
TOLD = ("input_ids", "attention_mask", "position_ids")


@dataclass(frozen=True)
class Tails:
    """The columns of a batch `(B, T)` from each row's first virtual token on.

    Attributes:
        first: the column of that token, shape `(B, 1)`.
        columns: of each column of the tails its column in the batch, shape `(B, M)`; the last of the batch at padding.
        mask: 1 where it is seen, shape `(B, M)`.
        before: the columns of the text, bool, shape `(B, T)`.
        counted: the position of each column of the batch, counted over what is seen, shape `(B, T)`.
    """

    first: Tensor
    columns: Tensor
    mask: Tensor
    before: Tensor
    counted: Tensor

    @property
    def positions(self) -> Tensor:
        """Of the tails, shape `(B, M)`."""
        return self.counted.gather(1, self.columns)

    def layout(self, whole: Layout) -> Layout:
        """The layout of the tails alone; the user's columns in the text go to the first one."""
        width, rows = self.columns.shape[1], whole.ids.shape[0]
        device = whole.ids.device
        keep = torch.arange(whole.ids.shape[1], device=device).expand(rows, -1) if whole.keep is None else whole.keep
        return Layout(
            ids=whole.ids.gather(1, self.columns),
            mask=self.mask,
            positions=self.positions,
            keep=(keep - self.first).clamp(0, width - 1),
            groups=tuple(self._group(one) for one in whole.groups),
            packed=False,
        )

    def _group(self, group: Group) -> Group:
        first = self.first if group.rows is None else self.first[group.rows]
        nothing = group.text.new_zeros(group.text.shape[0], self.columns.shape[1])
        return Group(group.prompt, group.rows, group.slots - first, nothing)


def stands_behind(anatomy: Anatomy) -> bool:
    """Whether a family's columns meet in nothing but attention, whose cache gives back what it was given."""
    if anatomy.kind != "causal" or anatomy.states != 3 or anatomy.counts_columns or anatomy.uncounted is not None:
        return False
    return anatomy.meets_in_attention and anatomy.stack is anatomy.body and bool(anatomy.cached)


def is_constant(footprint: Footprint) -> bool:
    """Whether a prompt's virtual tokens are made of no text, and nothing else of it is anywhere."""
    return footprint.static and footprint.count > 0 and not footprint.joins


def run_behind_texts(call: Call, anatomy: Anatomy, given: dict[str, object], run: Run) -> Output:
    """A body's output at the tails, as the call's layout then says; the whole batch's where that cannot be told apart.

    Args:
        call: the open call, whose layout is the whole batch's.
        anatomy: the parts of the backbone.
        given: the body's arguments for the whole batch.
        run: runs the body.
    """
    kept, layout = call.kept_texts, call.layout
    if kept is None or layout is None or not _may_run(call, anatomy, layout, given):
        return run(**given)
    tails = _tails(layout, anatomy)
    if not _fits(call, anatomy, layout, tails):
        return run(**given)
    texts = texts_of(layout.ids, tails.before)
    # Without a graph two passes cost what one does, so there something must be kept, or shall be.
    if not (torch.is_grad_enabled() or kept.fills or any(text in kept for text in texts)):
        return run(**given)
    sizes = anatomy.cached
    rows = _made(call, anatomy, kept, texts, run)
    past, seen = _left_padded([rows[text] for text in texts])
    call.layout = tails.layout(layout)
    changed: dict[str, object] = {
        **given,
        "input_ids": call.layout.ids,
        "attention_mask": torch.cat([seen, tails.mask], dim=1),
        "use_cache": True,
        **tell_positions(call, anatomy, tails.positions),
        str(cache_name(anatomy.body)): _cache_of(past, sizes),
    }
    return _without_cache(run(**changed))


def _may_run(call: Call, anatomy: Anatomy, layout: Layout, given: Mapping[str, object]) -> bool:
    """What costs least is looked at first; nothing here waits for an accelerator."""
    if torch.compiler.is_compiling() or watcher() is not None or call.select is None or call.shows_states:
        return False
    if call.states_below is not None or call.stand_ins or call.dropout or (call.training and anatomy.checkpoints):
        return False
    if layout.packed or not layout.groups or not all(is_constant(call.footprints[row]) for row in set(call.rows)):
        return False
    if any(given.get(name) not in (None, False) for name in (*CACHES, *SHOWN)):
        return False
    others = [name for name, value in given.items() if isinstance(value, Tensor) and name not in TOLD]
    mask = given.get("attention_mask")
    plain = given.get("input_ids") is not None and (mask is None or (isinstance(mask, Tensor) and mask.ndim == 2))
    return plain and not others


def counted_over(seen: Tensor, anatomy: Anatomy) -> Tensor:
    """The position of each column where those that are seen are counted, shape `(B, T)`."""
    return (seen.long().cumsum(-1) - 1).clamp(min=0) + anatomy.position_offset


def counts_plainly(layout: Layout, counted: Tensor) -> bool:
    """Whether the columns of a batch have no other positions than these."""
    told, seen = layout.positions, layout.seen
    return told is None or (told.ndim == 2 and bool(((told == counted) | ~seen).all()))


def _tails(layout: Layout, anatomy: Anatomy) -> Tails:
    ids, width = layout.ids, layout.ids.shape[1]
    seen = layout.seen
    virtual, columns = ids >= anatomy.vocab_size, torch.arange(width, device=ids.device)
    first = (virtual & seen).long().argmax(-1, keepdim=True)  # [B, 1]
    last = width - (virtual | seen).long().flip(-1).argmax(-1, keepdim=True)
    moved = first + columns[: int((last - first).max())]  # [B, M]
    own = moved.clamp(max=width - 1)
    mask = (seen.gather(1, own) & (moved < width)).long()
    return Tails(first, own, mask, seen & (columns < first), counted_over(seen, anatomy))


def _fits(call: Call, anatomy: Anatomy, layout: Layout, tails: Tails) -> bool:
    """Whether texts are long enough to gain by it, counted plainly, and asked for at none of their columns.

    In a row that is too long for its rotary angles the text has other keys than it has alone.
    """
    assert call.select is not None
    most = longest_unstretched(anatomy)
    if most is not None and int(tails.counted.max()) >= most:
        return False
    if 2 * int(tails.before.sum(-1).max()) < tails.columns.shape[1]:
        return False
    if not bool((call.columns(call.select) >= tails.first).all()):
        return False
    return counts_plainly(layout, tails.counted)


def _made(call: Call, anatomy: Anatomy, kept: KeptTexts, texts: Sequence[Ids], run: Run) -> dict[Ids, Tensor]:
    """What is kept of each text, `(n, S)`, and of others what it comes to."""
    made = {text: kept[text] for text in texts if text in kept}
    missing = [text for text in dict.fromkeys(texts) if text not in made]
    if missing:
        computed = kept.of(missing, lambda: _run_texts(call, anatomy, missing, run))
        made |= dict(zip(missing, computed, strict=True))
    return made


def _run_texts(call: Call, anatomy: Anatomy, texts: Sequence[Ids], run: Run) -> list[Tensor]:
    """The keys and values of all layers of texts, `(n, S)` each."""
    assert call.layout is not None
    ids, mask = batch_of(texts, call.layout.ids.device)
    cache, name = DynamicCache(), str(cache_name(anatomy.body))
    inner = replace(call, layout=None, select=None, calls={}, batch=len(texts))
    with torch.no_grad(), opened(inner):
        inside = tell_positions(inner, anatomy, counted_over(mask, anatomy))
        run(input_ids=ids, attention_mask=mask, use_cache=True, **inside, **{name: cache})
    return [states[: len(text)] for text, states in zip(texts, _flat(cache), strict=True)]


def tell_positions(call: Call, anatomy: Anatomy, positions: Tensor) -> dict[str, object]:
    """The body's keyword for positions, where it takes them; a module inside it that does asks the call."""
    call.positions = positions
    return {"position_ids": positions} if anatomy.takes_position_ids and anatomy.positions is None else {}


def _flat(cache: DynamicCache) -> Tensor:
    """The keys and values of all layers side by side, `(B, n, S)`."""
    pairs = [one for keys, values, *_ in cache for one in (keys, values) if one is not None]
    return torch.cat([one.transpose(1, 2).flatten(2) for one in pairs], dim=-1)


def _left_padded(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Constants of texts as one tensor `(B, n, S)`, padded on the left, and their mask `(B, n)`."""
    width, first = max(map(len, rows)), rows[0]
    whole = first.new_zeros(len(rows), width, first.shape[1])
    seen = torch.zeros(len(rows), width, dtype=torch.long, device=first.device)
    for place, row in enumerate(rows):
        whole[place, width - len(row) :] = row
        seen[place, width - len(row) :] = 1
    return whole, seen


def _cache_of(past: Tensor, sizes: Sizes) -> DynamicCache:
    """A cache that holds flat keys and values."""
    cache, widths = DynamicCache(), [(count, width) for count, *both in sizes for width in both]
    parts = [
        part.unflatten(-1, one).transpose(1, 2)
        for part, one in zip(past.split([count * width for count, width in widths], dim=-1), widths, strict=True)
    ]
    for layer, (keys, values) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
        cache.update(keys, values, layer)
    return cache


def _without_cache(output: Output) -> Output:
    """A body's output without the cache, which nobody asked for."""
    for name in CACHES:
        if isinstance(output, MutableMapping) and name in output:
            cast("MutableMapping[str, object]", output)[name] = None
    return output
