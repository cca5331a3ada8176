"""Whether padding moves a row: found by a trial, since a mask in a model's signature tells little.

Attention hides padding. A convolution over words (ConvBERT, MobileBERT's trigrams), landmarks that are means of columns
(Nystroemformer), a Fourier transform (FNet), a recurrence that takes no mask (RWKV) and positions that count columns
(LED) let it into the text. So one row of eight words runs alone, and padded on the left and on the right, as the
attached model would run them:

    a b c d e f g h          alone
    _ _ _ a b c d e f g h    Where a row's words come out otherwise than alone, padding on that side moves it.
    a b c d e f g h _ _ _

The trial stops behind the first layer where columns meet in attention alone and the layers are alike, and goes through
the whole body where they do not. What was found is kept as long as the body lives and its configuration stays.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.facts import FORGETS_PADDING
from softprompt.backbones.probe import trial_rows
from softprompt.backbones.remembered import Remembered, settings_of
from softprompt.backbones.resting import device_of
from softprompt.backbones.untouched import untouched
from softprompt.sites.asking import Around, Beneath, opened, own_class
from softprompt.sites.forward_call import Call
from softprompt.sites.joining import Join
from softprompt.sites.layout import Slots
from softprompt.sites.producer import Producer

Side: TypeAlias = Literal["left", "right"]
SIDES: tuple[Side, ...] = get_args(Side)

_PADDING = 3
_FOUND: Remembered[frozenset[Side]] = Remembered()
_WITH_PAST: Remembered[frozenset[Side]] = Remembered()


def moving_sides(anatomy: Anatomy, around: Mapping[nn.Module, Around], *, past: bool = False) -> frozenset[Side]:
    """The sides on which padding moves a row, tried or remembered; none for a body that cannot be run on ids alone.

    Args:
        anatomy: the parts of the backbone, whose modules ask the open call.
        around: what works around them.
        past: whether keys and values stand in the cache, from which padding may part the text (MPT).
    """
    body = anatomy.body
    state = str(settings_of(body))
    known, made = (_WITH_PAST, _Past) if past else (_FOUND, lambda _: Producer())
    return known.of(body, (state, device_of(body).type), lambda: _try(anatomy, around, made(anatomy)))


class _Past(Producer):
    """Keys and values that matter, in front of all that a decoder keeps."""

    prefix = 3

    def __init__(self, anatomy: Anatomy) -> None:
        super().__init__()
        self._sizes, self._device = anatomy.cached, device_of(anatomy.body)

    def keys_values(self) -> list[tuple[Tensor, Tensor]]:
        drawn = torch.Generator().manual_seed(0)
        shapes = [(count, self.prefix, width) for count, *widths in self._sizes for width in widths]
        made = [torch.randn(shape, generator=drawn).to(self._device) for shape in shapes]
        return list(zip(made[::2], made[1::2], strict=True))


def _try(anatomy: Anatomy, around: Mapping[nn.Module, Around], past: Producer) -> frozenset[Side]:
    if device_of(anatomy.body).type == "meta":  # shapes alone
        return frozenset()
    if getattr(anatomy.config, "attention_type", None) == "block_sparse":
        return frozenset(SIDES)  # BigBird's blocks lie by the columns of a batch, in rows too long for a trial
    if anatomy.family in FORGETS_PADDING:
        return frozenset({"left"})
    # Some families take no row as short as eight words, and some models no row as long as a window and some words.
    for padding, times in dict.fromkeys([(_padding(anatomy, past), 1), (_PADDING, 1), (_PADDING, 8)]):
        found = _of_length(anatomy, around, past, padding, times)
        if found is not None:
            return found
    return frozenset()


def _of_length(
    anatomy: Anatomy, around: Mapping[nn.Module, Around], past: Producer, padding: int, times: int
) -> frozenset[Side] | None:
    """What is seen at a row of `8 * times` words and some padding; None where the body cannot be run on them."""
    body = anatomy.body
    assert isinstance(body, PreTrainedModel)
    try:
        with untouched(body):
            return frozenset(_moving(anatomy, around, past, padding, trial_rows(body, times)[:1]))
    except Exception:  # a model may raise anything
        return None


def _moving(
    anatomy: Anatomy, around: Mapping[nn.Module, Around], past: Producer, padding: int, row: Tensor
) -> list[Side]:
    pad = getattr(anatomy.config, "pad_token_id", None) or 0
    ends: dict[Side, tuple[int, int]] = {"left": (padding, 0), "right": (0, padding)}
    padded = torch.cat([nn.functional.pad(row, end, value=pad) for end in ends.values()])
    mask = torch.cat([nn.functional.pad(torch.ones_like(row), end) for end in ends.values()])
    alone = _states(anatomy, around, past, row, torch.ones_like(row))[0].float()
    both = _states(anatomy, around, past, padded, mask).float()
    near = max(1e-3, 16 * torch.finfo(next(anatomy.body.parameters()).dtype).eps)
    moved = ((own[seen] - alone).norm(dim=-1) / alone.norm(dim=-1) for own, seen in zip(both, mask.bool(), strict=True))
    return [side for side, by in zip(ends, moved, strict=True) if not bool(by.max() <= near)]


def _padding(anatomy: Anatomy, past: Producer) -> int:
    """How many columns of padding are tried: more than the local layers of GPT-Neo see, where a past is in front."""
    window = getattr(anatomy.config, "window_size", None)
    return max(_PADDING, window) if past.prefix and isinstance(window, int) else _PADDING


def _states(anatomy: Anatomy, around: Mapping[nn.Module, Around], past: Producer, ids: Tensor, mask: Tensor) -> Tensor:
    """The states `(B, T, H)` that leave the first layer or the body, of the attached model with a past alone."""
    me = threading.get_ident()

    def stop(call: Any, beneath: Beneath, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        output = beneath(*args, **kwargs)
        first = output[0] if isinstance(output, tuple) else output
        if threading.get_ident() == me and isinstance(first, Tensor) and first.shape[:2] == ids.shape:
            raise _Stopped(first)
        return output

    stopping = {**around, anatomy.layers[0]: stop} if _are_alike(anatomy) and not past.prefix else around
    with opened(trial_call(anatomy, stopping, past, len(ids), apart=True)):
        try:
            output = anatomy.body(input_ids=ids, attention_mask=mask, use_cache=False)
        except _Stopped as stopped:
            return stopped.states
    states: Tensor = output[0]
    return states


def trial_call(
    anatomy: Anatomy, around: Mapping[nn.Module, Around], producer: Producer, batch: int, *, apart: bool
) -> Call:
    """A call of nobody's, in which one prompt works in all rows of a trial.

    Args:
        anatomy: the parts of the backbone.
        around: what works around them.
        producer: the prompt.
        batch: how many rows there are.
        apart: whether they run as they are, see `Call`.
    """
    rows, own = (0,) * batch, producer.footprint
    return Call(
        owner=None,
        producers=(producer,),
        footprints=(own,),
        slots=(Slots(anatomy.vocab_size, own.count, own.placement, own.shift, own.prefix),),
        rows=rows,
        around=around,
        stand_ins={},
        training=False,
        dropout=False,
        inserting=True,
        join=Join((producer,), rows),
        apart=apart,
    )


def _are_alike(anatomy: Anatomy) -> bool:
    """Whether the first layer shows what all do: columns meet in attention alone, and all have the same parts."""
    if not anatomy.layers or not anatomy.meets_in_attention or not anatomy.has_open_attention:
        return False
    return len({tuple(map(own_class, layer.modules())) for layer in anatomy.layers}) == 1


class _Stopped(Exception):
    """The states that were wanted are there."""

    def __init__(self, states: Tensor) -> None:
        super().__init__("stopped")
        self.states = states
