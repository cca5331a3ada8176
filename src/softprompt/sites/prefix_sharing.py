"""A batch of a causal model as one row of its own columns: none is padding, and none that rows share runs twice.

On a causal model no token sees those behind it. Where a prompt's vectors do not depend on the text either, every row
would compute the same P columns; rows that begin alike (`common_fronts`) would compute their front again and again; and
a short row beside a long one computes padding. Here the batch runs as one row instead: the virtual tokens, the fronts,
and what follows in each row, so that every layer's products take the columns that differ; inside attention alone they
are rows again, each of which sees the shared keys and values and its own (`shared_attention`). Keys and values at the
site `attention` are shared as they are. Our choice; no method's mathematics changes, only the order of its sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.compat import CACHES, attention_name, twin_name
from softprompt.sites.common_fronts import common_fronts, rows_of
from softprompt.sites.footprint import Footprint
from softprompt.sites.layout import Group, Layout, Slots
from softprompt.sites.shared_attention import Block, SharedPrefix

SHARED_PREFIX = "softprompt_shared_prefix"
_ATTENTION = twin_name("sdpa")  # the one attention that understands it: see `sites/attention.py`
_UNWANTED = (*CACHES, "position_ids", "token_type_ids", "output_attentions", "output_hidden_states")


def can_share(footprint: Footprint) -> bool:
    """Whether a prompt's virtual tokens are the same in every row of a causal model."""
    return footprint.static and footprint.count > 0 and footprint.placement == "front" and not footprint.joins


def can_run_as_one(footprint: Footprint) -> bool:
    """Whether a prompt is the same in every row of a causal model, in front of it or at its attention."""
    if not footprint.count:  # keys and values know no text
        return footprint.prefix > 0
    return footprint.static and footprint.placement == "front"


def why_unshared(
    anatomy: Anatomy, footprints: Sequence[Footprint], rows: tuple[int, ...], given: Mapping[str, object]
) -> str | None:
    """Why a call of the body cannot run its rows as one, in a clause; None where it may.

    The call must want nothing that would show the difference (a cache, attention maps, the states of every layer), and
    the text's rows must meet nowhere but in attention, which alone knows that they are rows. What costs least is looked
    at first.

    Args:
        anatomy: the parts of the backbone.
        footprints: of the bank.
        rows: the prompt of each row.
        given: the body's arguments.
    """
    if torch.compiler.is_compiling():
        return "it is compiled"
    if len(rows) < 2:
        return "there is one row"
    if given.get("use_cache") is not False:
        return "it may make a cache"
    if anatomy.kind != "causal" or not anatomy.takes_position_ids or anatomy.stack is not anatomy.body:
        return f"family {anatomy.family!r} is no decoder that takes position ids and whose states the heads read"
    if len(set(rows)) > 1:
        return "its rows have several prompts"
    if not can_run_as_one(footprints[rows[0]]):
        return "the prompt may differ from row to row, or does not stand in front"
    wanted = next((name for name, value in given.items() if _is_unwanted(name, value)), None)
    if wanted is not None:
        return f"it is given {wanted}"
    ids, mask = given.get("input_ids"), given.get("attention_mask")
    if not isinstance(ids, Tensor) or not (mask is None or (isinstance(mask, Tensor) and mask.ndim == 2)):
        return "it has no ids and mask of shape (batch, tokens)"
    if mask is not None and not bool(mask.any(-1).all()):
        return "a row has no text"
    config = anatomy.body.config
    if getattr(config, "output_attentions", False) or getattr(config, "output_hidden_states", False):
        return "the configuration asks for attention maps or the states of every layer"
    running = attention_name(config)
    if running != _ATTENTION:
        return f"attention runs as {running}"
    return None if anatomy.meets_in_attention else "columns meet elsewhere than in full or sliding attention"


def _is_unwanted(name: str, value: object) -> bool:
    """Whether something that a body is given would show the difference, or has rows of its own, such as images."""
    if name in _UNWANTED:
        return value is not None and value is not False
    return isinstance(value, Tensor) and name not in ("input_ids", "attention_mask")


def share_prefix(
    anatomy: Anatomy, slots: Sequence[Slots], prompt: int, given: dict[str, object]
) -> tuple[SharedPrefix, Layout, dict[str, object]]:
    """One row of a batch `(B, N)`: what attention needs to know, where the virtual tokens are, the body's arguments."""
    ids, mask = given["input_ids"], given.get("attention_mask")
    assert isinstance(ids, Tensor)
    assert mask is None or isinstance(mask, Tensor)
    device, own = ids.device, slots[prompt]
    text = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
    rank = (text.long().cumsum(-1) - 1).clamp(min=0)  # [B, N] of each column in its row's text
    blocks, columns = _blocks(ids, text, rank, own.count, own.prefix)
    places = torch.arange(own.count, device=device)
    width = own.count + sum(block.width for block in blocks[1:])
    row = torch.cat([places + own.base, ids.new_empty(width - own.count)])
    order = torch.cat([places + own.prefix, ids.new_empty(width - own.count)])
    row[columns[text]] = ids[text]
    order[columns[text]] = rank[text] + own.prefix + own.count
    group = Group(prompt, None, places[None], torch.zeros(1, width, dtype=torch.bool, device=device))
    layout = Layout(row[None], None, order[None] + anatomy.position_offset, None, (group,) if own.count else (), False)
    # A mask in four dimensions is left as it is: attention makes its own of what it is given.
    unread = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)
    changed = {**given, "input_ids": layout.ids, "position_ids": layout.positions, "attention_mask": unread}
    return SharedPrefix(blocks, columns, given), layout, changed


def _blocks(ids: Tensor, text: Tensor, rank: Tensor, count: int, prefix: int) -> tuple[tuple[Block, ...], Tensor]:
    """The virtual tokens, the fronts and what follows them; and the column in the one row of each of the user's."""
    device, lengths = ids.device, text.sum(-1)
    # The text from the first column on, wherever padding is.
    first = ids.gather(1, (~text).to(torch.int8).argsort(dim=1, stable=True))
    found = common_fronts(first, lengths.tolist())
    owner = rows_of(found, device)  # [B]
    fronts = torch.tensor([one.columns for one in found], device=device)  # [G]
    virtual = Block(torch.tensor([count], device=device), 0, torch.tensor([prefix], device=device))
    shared = Block(fronts, count, torch.full_like(fronts, prefix + count), ((virtual, None),))
    behind = lengths - fronts[owner]  # [B]
    rows = behind.nonzero()[:, 0]
    starts = fronts[owner] + prefix + count
    begin, above = count + shared.width, ((virtual, None), (shared, owner[rows]))
    rest = (Block(behind[rows], begin, starts[rows], above),) if len(rows) else ()
    in_front = (count + shared.offsets)[owner][:, None] + rank
    after = (begin + behind.cumsum(0) - behind - fronts[owner])[:, None] + rank
    return (virtual, shared, *rest), torch.where(rank < fronts[owner][:, None], in_front, after)
