"""Virtual tokens whose states no row can change: computed once for the whole batch.

On a causal model tokens in front of the text never see it. Where a prompt's vectors do not depend on the text either,
every row would compute the same P columns. Here the batch runs as one row instead, the virtual tokens and then the text
of all rows, so that every layer's products take P + B * N columns rather than B * (P + N); inside attention alone the
text is rows again, each of which sees the shared keys and values and its own. Our choice; no method's mathematics
changes, only the order of its sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.compat import CACHES, attention_name, twin_name
from softprompt.sites.footprint import Footprint
from softprompt.sites.layout import Group, Layout, Slots
from softprompt.sites.written_attention import Attend

SHARED_PREFIX = "softprompt_shared_prefix"
_ATTENTION = twin_name("sdpa")  # the one attention that understands it: see `sites/attention.py`
_UNWANTED = (*CACHES, "position_ids", "token_type_ids", "output_attentions", "output_hidden_states")


@dataclass
class SharedPrefix:
    """A batch that runs as one row of P + B * N columns.

    Attributes:
        virtual: P.
        rows: B.
        width: N.
        positions: of the text's columns, counted from 0 with the virtual tokens, shape `(B, N)`.
        text: which of the text's columns are no padding, bool, shape `(B, N)`.
        given: the body's arguments before, for a model whose attention does not make use of what it is given.
        used: the attentions that did.
    """

    virtual: int
    rows: int
    width: int
    positions: Tensor
    text: Tensor
    given: dict[str, object]
    used: set[nn.Module] = field(default_factory=set)
    _masks: dict[int | None, Tensor] = field(default_factory=dict)

    def mask(self, window: int | None) -> Tensor:
        """What each text column sees of the virtual tokens and of its row, bool, shape `(B, 1, N, P + N)`.

        Args:
            window: how many positions back a column sees, itself counted, or None for all.
        """
        if window not in self._masks:
            device = self.positions.device
            order = torch.arange(self.width, device=device)
            own = (order[:, None] >= order) & self.text[:, None, :]
            front = torch.ones(self.rows, self.width, self.virtual, dtype=torch.bool, device=device)
            if window is not None:
                since = self.positions[:, :, None]
                own = own & (since - self.positions[:, None, :] < window)
                front = since - torch.arange(self.virtual, device=device) < window
            front = front | ~self.text[:, :, None]  # padding has to see something, whatever comes of it
            self._masks[window] = torch.cat([front, own], dim=-1)[:, None]
        return self._masks[window]

    def columns(self, selected: Tensor) -> Tensor:
        """Columns of the one row for columns `(B, S)` of the user's batch: shape `(1, B * S)`."""
        first = self.virtual + self.width * torch.arange(self.rows, device=selected.device)
        return (first[:, None] + selected).view(1, -1)

    def back(self, states: Tensor) -> Tensor:
        """States `(1, P + B * N, H)` as the user's `(B, N, H)`."""
        return states[0, self.virtual :].view(self.rows, self.width, -1)


def can_share(footprint: Footprint) -> bool:
    """Whether a prompt's virtual tokens are the same in every row of a causal model."""
    return footprint.static and footprint.count > 0 and footprint.placement == "front" and not footprint.joins


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
    if not can_share(footprints[rows[0]]):
        return "the virtual tokens may differ from row to row, or do not stand in front"
    wanted = next((name for name, value in given.items() if _is_unwanted(name, value)), None)
    if wanted is not None:
        return f"it is given {wanted}"
    ids, mask = given.get("input_ids"), given.get("attention_mask")
    if not isinstance(ids, Tensor) or not (mask is None or (isinstance(mask, Tensor) and mask.ndim == 2)):
        return "it has no ids and mask of shape (batch, tokens)"
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
    device, count = ids.device, slots[prompt].count
    text = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
    positions = (text.long().cumsum(-1) - 1).clamp(min=0) + count
    places = torch.arange(count, device=device)
    shared = SharedPrefix(count, ids.shape[0], ids.shape[1], positions, text, given)
    row = torch.cat([places + slots[prompt].base, ids.view(-1)])[None]
    order = torch.cat([places, positions.view(-1)])[None] + anatomy.position_offset
    group = Group(prompt, None, places[None], torch.zeros_like(row, dtype=torch.bool))
    # A mask in four dimensions is left as it is: attention makes its own of what it is given.
    unread = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)
    changed = {**given, "input_ids": row, "position_ids": order, "attention_mask": unread}
    return shared, Layout(row, None, order, None, (group,), False), changed


def attend_shared(
    attend: Attend,
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    shared: SharedPrefix,
    **kwargs: object,
) -> tuple[Tensor, None]:
    """Attention of one row's columns, the text as rows: query `(1, heads, P + B * N, D)`, output `(1, P + B * N, ...)`.

    Args:
        attend: the model's own attention function.
        module: the attention that calls it.
        query: shape `(1, heads, P + B * N, D)`.
        key: shape `(1, K, P + B * N, D)`.
        value: as `key`.
        shared: how the row is made up.
        **kwargs: as the attention function takes them.
    """
    shared.used.add(module)
    count, window = shared.virtual, kwargs.get("sliding_window")
    assert window is None or isinstance(window, int)
    order = torch.arange(count, device=query.device)
    alone = order[:, None] >= order
    if window is not None:
        alone = alone & (order[:, None] - order < window)
    first, _ = attend(module, *(x[:, :, :count] for x in (query, key, value)), alone[None, None], **kwargs)
    rows = _rows(query, shared)
    keys, values = (
        torch.cat([x[:, :, :count].expand(shared.rows, -1, -1, -1), _rows(x, shared)], 2) for x in (key, value)
    )
    rest, _ = attend(module, rows, keys, values, shared.mask(window), **kwargs)
    return torch.cat([first, rest.reshape(1, -1, *rest.shape[2:])], dim=1), None


def _rows(states: Tensor, shared: SharedPrefix) -> Tensor:
    """The text's part `(B, heads, N, D)` of one row's `(1, heads, P + B * N, D)`."""
    text = states[0, :, shared.virtual :]
    return text.view(text.shape[0], shared.rows, shared.width, -1).transpose(0, 1)
