"""What a body does with its tokens and positions, tried on a few of them, for names and flags mislead.

Half of the families that have `config.is_decoder` ignore it, an attention may have no `is_causal` (DeBERTa, MPNet,
BigBird) or one that its masks overrule (Llama with `config.is_causal=False`), and a first token's position id is 0, 1,
2, or one more than the padding id, counted by rows, masks or ids. So two short rows that differ in the middle run:

    a b c | d e | f g h
    a b c | x y | f g h       Where f g h come out otherwise and a b c do not, no token sees a later one.

They run no further than the first layer where the structure agrees with it, and whole where it says nothing. What was
found is kept as long as the body lives and its configuration stays: an anatomy is read often.
"""

from __future__ import annotations

import inspect
import random
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from softprompt.backbones.compat import SeesOperations
from softprompt.backbones.remembered import Remembered, settings_of
from softprompt.backbones.resting import device_of
from softprompt.backbones.structure import input_embedding, weight_of
from softprompt.backbones.untouched import untouched

BEFORE, _CHANGED, _AFTER = 3, 2, 3
_WIDTH = BEFORE + _CHANGED + _AFTER
# A token that sees nothing of a change moves by rounding alone, where experts or scales are shared with later tokens;
# one that sees it moves about as much as those after the change.
_ROUNDING = 0.05


@dataclass(frozen=True)
class Behaviour:
    """What was found.

    Attributes:
        causal: whether no token sees a later one; None where neither a trial nor the structure says.
        offset: the position id that the body gives a row's first token, 0 where its embeddings depend on none; None
            where no trial says.
        positions: how many tokens its table of absolute positions has rows for, or None where no trial found one.
        counts: what it counts for absolute positions by itself: columns, or ids that are not the padding id; None where
            its embeddings depend on neither.
        why: what stands in the way of knowing; empty where nothing does.
        states, width: the axes of what enters its first layer, and the last of them; 3 and 0 where no trial says.
    """

    causal: bool | None
    offset: int | None
    positions: int | None
    counts: Literal["columns", "ids"] | None
    why: str = ""
    states: int = 3
    width: int = 0


_FOUND: Remembered[Behaviour] = Remembered()


def behaviour(
    body: PreTrainedModel, layers: Sequence[nn.Module], attentions: Sequence[nn.Module | None], *, encoder: bool
) -> Behaviour:
    """Try a body, or remember what it did.

    It is left as it was: flags, modules, buffers, hooks and the state of every random generator.

    Args:
        body: takes ids and a mask.
        layers: its layers, in the order of their calls.
        attentions: the self-attention of each of them.
        encoder: whether it is an encoder-decoder's, which needs no trying.
    """
    flags = [getattr(attention, "is_causal", None) for attention in attentions if attention is not None]
    weight = weight_of(_embedding(body))
    state = f"{settings_of(body)} {flags} {weight.device.type == 'meta'}"
    return _FOUND.of(body, state, lambda: _try(body, layers, flags, encoder))


def _try(body: PreTrainedModel, layers: Sequence[nn.Module], flags: Sequence[bool | None], encoder: bool) -> Behaviour:
    found = _with_rows(1, body, layers, flags, encoder)
    if isinstance(found, str):  # some families take no row as short as that
        why, found = found, _with_rows(8, body, layers, flags, encoder)
        if isinstance(found, str):
            return Behaviour(False if encoder else _flagged(body, flags), None, None, None, why)
    return found


def _with_rows(
    times: int, body: PreTrainedModel, layers: Sequence[nn.Module], flags: Sequence[bool | None], encoder: bool
) -> Behaviour | str:
    """What a body does with rows of `8 * times` tokens, or why it cannot be run on them."""
    try:
        with untouched(body):
            trial = _Trial(body, layers[0] if layers else None, times)
            offset, positions = trial.positions()
            counts = trial.counts()
            causal = False if encoder else trial.causal(flags)
            shape = trial.entering()
    except _Undecided as undecided:
        return Behaviour(None, None, None, None, str(undecided))
    except Exception as error:  # a model may raise anything
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    causal = _flagged(body, flags) if causal is None else causal
    why = "its weights let no token move another" if causal is None else ""
    return Behaviour(causal, offset, positions, counts, why, len(shape) or 3, shape[-1] if shape else 0)


def _flagged(body: PreTrainedModel, flags: Sequence[bool | None]) -> bool | None:
    """What the structure alone says, where all of it says the same."""
    said = {*flags, *([flag] if (flag := getattr(body.config, "is_causal", None)) is not None else [])}
    return said.pop() if len(said) == 1 else None


class _Trial:
    """A body and the rows that it is tried with."""

    def __init__(self, body: PreTrainedModel, first: nn.Module | None, times: int) -> None:
        self.body, self.first, self.times = body, first, times
        self.names = inspect.signature(body.forward).parameters
        self.rows = trial_rows(body, times)

    def positions(self) -> tuple[int | None, int | None]:
        """Offset and number of positions, by what is looked up and what enters the first layer."""
        same = self.rows[:1, :1].expand(1, self.rows.shape[1])  # one word again and again: only positions differ
        own, row, rows = self._embedded(same)
        table = None if row is None or rows is None else rows - row
        if "position_ids" not in self.names:
            return 0, table
        order = torch.arange(same.shape[1], device=same.device)[None]
        begins = self._embedded(same, position_ids=order)[1]
        likely = (0, 1, 2) if row is None or begins is None else (row - begins,)
        given = ((offset, self._embedded(same, position_ids=order + offset)[0]) for offset in likely)
        return next((offset for offset, states in given if torch.equal(states, own)), None), table

    def counts(self) -> Literal["columns", "ids"] | None:
        """What enters the first layer at one word again and again: another thing in another place, or after padding?

        A body that takes no position ids may count in its layers (RoFormer): there padding must not move a row.
        """
        same, pad = self.rows[:1, :1].expand(1, self.rows.shape[1]), getattr(self.body.config, "pad_token_id", None)
        own = self._embedded(same)[0]
        # Without a first layer these are the last states, which differ anyway.
        if (
            self.first is not None
            and own.shape[:2] == same.shape
            and not torch.equal(own[:, BEFORE], own[:, BEFORE + 1])
        ):
            led = None if pad is None else self._after_padding(same, pad, before=self.first)
            return "ids" if led is not None and torch.equal(led[:, :-1], own[:, :-1]) else "columns"
        if "position_ids" in self.names or pad is None:
            return None
        alone = self._run(self.rows[:1], torch.ones_like(self.rows[:1]), until=self.first)
        led = self._after_padding(self.rows[:1], pad, until=self.first)
        moved = (led - alone).float().norm() if led.shape == alone.shape else torch.tensor(torch.inf)
        near = max(1e-3, torch.finfo(alone.dtype).eps) * alone.float().norm()
        return "columns" if bool(moved > near) else None

    def entering(self) -> tuple[int, ...]:
        """The shape of what enters the first layer; none where there is none."""
        return () if self.first is None else tuple(self._embedded(self.rows[:1])[0].shape)

    def _after_padding(
        self, ids: Tensor, pad: int, *, before: nn.Module | None = None, until: nn.Module | None = None
    ) -> Tensor:
        """The states of a row behind one column of padding."""
        led = torch.nn.functional.pad(ids, (1, 0), value=pad)
        mask = torch.nn.functional.pad(torch.ones_like(ids), (1, 0), value=0)
        return self._run(led, mask, before=before, until=until)[:, 1:]

    def causal(self, flags: Sequence[bool | None]) -> bool | None:
        """Whether no token sees a later one; None where no token moves another.

        Raises:
            _Undecided: in a padded row it is otherwise.
        """
        mask = torch.ones_like(self.rows)
        padded = mask.clone()
        padded[:, -1] = 0
        first, other = (self._sees_nothing_later(self._run(self.rows, m, until=self.first)) for m in (mask, padded))
        if first is not None and other is not None and first != other:
            raise _Undecided("tokens see later ones in a row with padding or in one without, not in both")
        if first is False or (first and all(flags)):
            return first
        return self._sees_nothing_later(self._run(self.rows, mask))

    def _sees_nothing_later(self, states: Tensor) -> bool | None:
        moved = (states[0].float() - states[1].float()).norm(dim=-1)  # [T]
        before = moved[: BEFORE * self.times].norm()
        after = moved[(BEFORE + _CHANGED) * self.times : -1].norm()  # the last column may be padding
        if not bool(after > 0) or not bool(torch.isfinite(before)):
            return None
        return bool(before <= _ROUNDING * after)

    def _embedded(self, ids: Tensor, position_ids: Tensor | None = None) -> tuple[Tensor, int | None, int | None]:
        """What enters the first layer; and of the table that is asked for rows in a row, the first and how many."""
        with _Lookups(ids.shape[1]) as lookups:
            states = self._run(ids, torch.ones_like(ids), before=self.first, position_ids=position_ids)
        return states, *(lookups.found or (None, None))

    def _run(
        self,
        ids: Tensor,
        mask: Tensor,
        *,
        before: nn.Module | None = None,
        until: nn.Module | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """The body's last states, or those that enter a layer or leave it: there it stops."""
        inputs: dict[str, object] = {"attention_mask": mask, "use_cache": False, "return_dict": True}
        given = inputs if position_ids is None else {**inputs, "position_ids": position_ids}
        given = {name: value for name, value in given.items() if name in self.names}
        me = threading.get_ident()

        def stop(states: object) -> None:
            if threading.get_ident() == me:  # another thread may be running the same model
                first = states[0] if isinstance(states, tuple | list) else states
                assert isinstance(first, Tensor), "a layer takes or gives no states"
                raise _Stopped(first)

        def on_entering(
            module: nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object] | None = None
        ) -> None:
            # A hook is there a moment before torch knows that it takes keywords, and another thread may meet it then.
            stop(args[0] if args else (kwargs or {}).get("hidden_states"))

        with ExitStack() as stack:
            if before is not None:
                stack.callback(before.register_forward_pre_hook(on_entering, with_kwargs=True).remove)
            if until is not None:
                stack.callback(until.register_forward_hook(lambda module, args, output: stop(output)).remove)
            try:
                output = self.body.forward(input_ids=ids, **given)
            except _Stopped as stopped:
                return stopped.states
        states: Tensor = output[0]
        if states.shape[:2] != ids.shape:
            raise ValueError(f"the body gives {tuple(states.shape)} for {tuple(ids.shape)} tokens")
        return states


class _Undecided(Exception):
    """A body does now this and now that, or what no other does."""


class _Stopped(Exception):
    """The states that were wanted are there."""

    def __init__(self, states: Tensor) -> None:
        super().__init__("stopped")
        self.states = states


class _Lookups(SeesOperations):
    """Sees which rows of which table are asked for, in this thread, however the table is wrapped."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.found: tuple[int, int] | None = None

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        indexed = function is torch.ops.aten.index.Tensor and isinstance(args[0], nn.Parameter)  # Whisper
        asked = args[1][0] if indexed else args[1] if function is torch.ops.aten.embedding.default else None
        if asked is not None and asked.numel() == asked.shape[-1] >= self.width:
            rows = asked.flatten()[: self.width + 1].tolist()  # a family may have padded the row
            in_order = next((place for place, row in enumerate(rows) if row != rows[0] + place), len(rows))
            if in_order == self.width:
                self.found = self.found or (rows[0], int(args[0].shape[0]))
        return function(*args, **(kwargs or {}))


def _embedding(body: PreTrainedModel) -> nn.Module:
    found = input_embedding(body)
    assert found is not None, "an anatomy has one"
    return found


def trial_rows(body: PreTrainedModel, times: int) -> Tensor:
    """Two rows of words that differ in the middle, `(2, 8 * times)`, none of them a special token."""
    embedding = _embedding(body)
    weight, device = weight_of(embedding), device_of(embedding)
    size, width = int(weight.shape[0]), _WIDTH * times
    special = [value for name, value in vars(body.config).items() if name.endswith("_token_id")]
    drawn = random.Random(0).choices(range(size // 4, size // 4 * 3 + 1), k=4 * width)  # most of them stand at the ends
    usable = [word for word in drawn if word not in special]
    row, spare = usable[:width], usable[width:]
    other = list(row)
    for place in range(BEFORE * times, (BEFORE + _CHANGED) * times):
        other[place] = next(word for word in spare[place:] if word != row[place])
    return torch.tensor([row, other], device="cpu" if device.type == "meta" else device)
