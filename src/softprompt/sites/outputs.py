"""What leaves a body or a model: states at the columns that are asked for."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.sites.forward_call import Call


class BodyOutput(Protocol):
    """The output of a body that is no tuple: its states, or the logits of one whose head is inside."""

    last_hidden_state: Tensor

    def __getitem__(self, index: int | str) -> Tensor:
        """The states first."""

    def __setitem__(self, index: str, value: Tensor | tuple[Tensor, ...]) -> None:
        """By name."""


Output: TypeAlias = BodyOutput | tuple[Tensor, ...]


def gather(states: Tensor, columns: Tensor) -> Tensor:
    """States `(B, T, H)` at columns `(B, N)`: shape `(B, N, H)`."""
    return states.gather(1, columns[..., None].expand(-1, -1, states.shape[-1]))


def put_back(some: Tensor, columns: Tensor, width: int) -> Tensor:
    """States `(B, N, H)` of columns `(B, N)` among zeros: `(B, width, H)`.

    A column that stands there twice is taken once, so that its gradient comes once, too.
    """
    again = (columns[:, :, None] == columns[:, None, :]).tril(-1).any(-1)
    whole = some.new_zeros(some.shape[0], width, some.shape[2])
    return whole.scatter_add(1, columns[..., None].expand_as(some), some.masked_fill(again[..., None], 0))


def user_length(output: object, call: Call, *, encoder_decoder: bool) -> object:
    """A model's output whose states and logits have the user's length; attention maps keep every column."""
    keep = call.keep
    if keep is not None and isinstance(output, MutableMapping):
        total = keep.shape[1] + max(call.slots[row].count for row in call.rows)
        # Where an encoder hears and its decoder alone has prompts, states have the decoder's name.
        names = ("encoder_hidden_states",) if encoder_decoder else ("hidden_states", "decoder_hidden_states")
        for name in names:
            if output.get(name) is not None:
                cut = tuple(gather(states, keep) if states.shape[1] >= total else states for states in output[name])
                output[name] = cut
        last = output.get("encoder_last_hidden_state")
        if encoder_decoder and last is not None:
            output["encoder_last_hidden_state"] = gather(last, keep) if last.shape[1] >= total else last
    if call.select is not None and hasattr(output, "logits"):
        output.logits = call.of_selected(output.logits)
    return output


def mend_beside(call: Call, output: Output, states: Tensor, vocab_size: int) -> None:
    """Mend what a body gives beside its states, of which it does not know that some columns are virtual.

    Args:
        call: the open call.
        output: of the body.
        states: its last ones, `(B, T, H)`.
        vocab_size: V, where virtual ids begin.
    """
    if call.layout is None or torch.compiler.is_compiling() or not isinstance(output, MutableMapping):
        return
    pooled, routed = output.get("pooler_output"), output.get("router_logits")
    if isinstance(pooled, Tensor) and pooled.shape[-1] == states.shape[-1]:
        output["pooler_output"] = _own_summary(pooled, states, call.layout.ids, vocab_size)
    if call.keep is not None and isinstance(routed, tuple):
        output["router_logits"] = tuple(_own_routes(one, call.layout.ids, call.keep) for one in routed)


def _own_summary(pooled: Tensor, states: Tensor, ids: Tensor, vocab_size: int) -> Tensor:
    """Summaries `(B, H)`; where one is a virtual token's state, that of the row's own token with the largest id.

    Some bodies look for the end token by its id, the largest of all (CLIP with files of old, OWL-ViT), and a virtual
    one is larger.
    """
    virtual = (states == pooled[:, None]).all(-1) & (ids >= vocab_size)  # [B, T]
    own = ids.masked_fill(ids >= vocab_size, -1).argmax(-1, keepdim=True)
    return torch.where(virtual.any(-1, keepdim=True), gather(states, own)[:, 0], pooled)


def _own_routes(routed: Tensor, ids: Tensor, keep: Tensor) -> Tensor:
    """What a layer chose experts by, `(B * T, E)`, of the user's columns: the model weighs it with the user's mask."""
    if routed.ndim != 2 or len(routed) != ids.numel():
        return routed
    return gather(routed.view(*ids.shape, -1), keep).flatten(0, 1)


def one_row(states: Tensor) -> Tensor:
    """States `(B, S, H)` as one contiguous row `(1, B * S, H)`.

    A product of a sliced 3-D matrix copies the head's weight once a row in bf16 on the CPU.
    """
    return states.reshape(1, -1, states.shape[-1])


def with_states(output: Output, states: Tensor) -> Output:
    """A body's output with other states at its head.

    Raises:
        SoftPromptError: it has last states beside them, for a head of its own (ProphetNet's), which would see the
            columns that were there before.
    """
    if isinstance(output, tuple):
        return (states, *output[1:])
    for name in output if isinstance(output, Mapping) else ():
        if name.startswith("last_hidden_state_"):
            raise SoftPromptError(
                f"the backbone's head reads {name}, states of several streams, in which virtual tokens and chosen "
                "columns have no part: choose another backbone"
            )
    output[_by_column(output)] = states
    return output


def states_of(output: Output) -> Tensor:
    """What leaves a body with a column for each token: its last states, or the logits of one whose head is inside.

    Raises:
        SoftPromptError: it gives neither.
    """
    return output[0] if isinstance(output, tuple) else output[_by_column(output)]


def _by_column(output: BodyOutput) -> str:
    for name in ("last_hidden_state", "logits"):
        if isinstance(output, Mapping) and isinstance(output.get(name), Tensor):
            return name
    raise SoftPromptError(
        f"the backbone gives a {type(output).__name__} with neither last_hidden_state nor logits, so that virtual "
        "tokens cannot be left out of it: have its forward return a ModelOutput with one of them"
    )
