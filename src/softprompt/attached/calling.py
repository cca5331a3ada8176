"""Calls of the attached model: the user's arguments in, outputs of the user's own length out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from softprompt.attached.constants import Constants
from softprompt.attached.heard import check_heard, unlabelled
from softprompt.attached.some_logits import SomeLogits
from softprompt.attached.standing import standing
from softprompt.attached.unchanged import Unchanged
from softprompt.backbones.exporting import is_exporting
from softprompt.backbones.wrapped import refuse_adapter_names
from softprompt.errors import SoftPromptError, quoted
from softprompt.sites.asking import Around, current, opened
from softprompt.sites.attached import Rows
from softprompt.sites.forward_call import Call
from softprompt.sites.gate import Gate
from softprompt.sites.hooks import argument_names
from softprompt.sites.int8_products import Int8Products
from softprompt.sites.joining import Join
from softprompt.sites.layout import Slots
from softprompt.sites.outputs import gather, user_length

# Keywords that come on top of the model's own, besides `prompts`.
_BESIDE = ("conditioning_mask", "positions", "vocabulary")
_Beside: TypeAlias = tuple[Tensor | None, Tensor | None, Tensor | None]


class Calling(Constants):
    """A wrapper that opens a call, in which the prompts work, around whatever it is asked; `PromptedModel` attaches.

    Attributes:
        names: the names of the attached prompts.
        slots: for each prompt its virtual ids and where they go.
        tokenizer: the backbone's, or None.
    """

    names: list[str]
    slots: list[Slots]
    tokenizer: PreTrainedTokenizerBase
    _unchanged: Unchanged
    _gate: Gate
    _around: Mapping[nn.Module, Around]
    _some_logits: SomeLogits

    def __call__(self, *args: object, **kwargs: object) -> Any:
        """Open a call, so that whatever `forward` stands here finds the prompts at work: see `forward`.

        Trainers put functions of their own in the place of `forward` that run the body and the head by themselves.
        """
        prompts = cast("Rows", kwargs.pop("prompts", None))
        beside = cast("_Beside", tuple(kwargs.pop(name, None) for name in _BESIDE))
        given = {**dict(zip(argument_names(self.backbone), args, strict=False)), **kwargs}
        as_tuple = given.get("return_dict") is False
        if as_tuple:
            given["return_dict"] = True
        with self._gate.passing():
            output = self._called(given, prompts, beside)
        return output.to_tuple() if as_tuple else output

    def _called(self, given: dict[str, object], prompts: Rows, beside: _Beside) -> Any:
        check_heard(self.anatomy, given)
        rows, (conditioning, select, ids) = self.rows(prompts, _batch(given)), beside
        self._check(given, rows, select if ids is None else ids)
        conditioning = unlabelled(self.anatomy, given) if conditioning is None else conditioning
        some = None if ids is None else self._some_logits.of(ids, self._around)
        with self.calling(rows, conditioning, select, around=None if some is None else some.around) as call:
            output = super().__call__(**given)
        if some is not None:
            output.logits = some.taken(output.logits)
        return user_length(output, call, encoder_decoder=self.anatomy.kind == "encoder-decoder")

    def forward(
        self,
        *args: object,
        prompts: Rows = None,
        conditioning_mask: Tensor | None = None,
        positions: Tensor | None = None,
        vocabulary: Tensor | None = None,
        **kwargs: object,
    ) -> Any:
        """The model's own forward, with each row's prompt.

        Args:
            *args: as the model takes them.
            prompts: a prompt's name for all rows, or one name or index a row. May be left out where one prompt is
                attached.
            conditioning_mask: bool, `(batch, tokens)`: tokens that may condition an instance-aware prompt; by default
                every token that is seen and has no label.
            positions: `(batch, selected)`: columns whose logits are wanted; logits then have shape
                `(batch, selected, V)`.
            vocabulary: `(wanted,)`: ids whose logits are wanted, in the place of V.
            **kwargs: as the model takes them.

        Returns:
            The model's own output, its tensors of the user's length.

        Raises:
            SoftPromptError: the prompts are detached, or the arguments leave them no place.
        """
        if not self.is_running:
            beside = dict(zip(_BESIDE, (conditioning_mask, positions, vocabulary), strict=True))
            return self(*args, prompts=prompts, **beside, **kwargs)
        return self.backbone(*args, **kwargs)

    def states(
        self,
        *,
        prompts: Rows = None,
        conditioning_mask: Tensor | None = None,
        positions: Tensor | None = None,
        **kwargs: object,
    ) -> Tensor:
        """Last states of the body (an encoder-decoder's encoder), without a head: `(batch, tokens or selected, H)`."""
        with self._gate.passing():
            rows = self.rows(prompts, _batch(kwargs))
            with self.calling(rows, conditioning_mask, positions) as call:
                call.wants_cache = False
                output = self.anatomy.body(**kwargs)
        # A configuration may ask for tuples (`return_dict=False`), whose first value these are.
        first = output[0] if isinstance(output, tuple) else getattr(output, "last_hidden_state", None)
        states: Tensor | None = first if isinstance(first, Tensor) else None
        if states is None:
            raise SoftPromptError(
                f"family {self.anatomy.family!r} gives no last_hidden_state, which a head beside the prompt reads: "
                "take a readout of its logits"
            )
        if self.anatomy.kind == "encoder-decoder":
            states = states if call.keep is None else gather(states, call.keep)
            return states if positions is None else gather(states, positions)
        return states if positions is None else call.of_selected(states)

    def rows(self, prompts: Rows, batch: int) -> tuple[int, ...]:
        """The index of each row's prompt.

        Raises:
            SoftPromptError: an unknown name, a wrong number of rows, or none named while several are attached.
        """
        if prompts is None:
            if len(self.names) != 1:
                raise SoftPromptError(
                    f"{len(self.names)} prompts are attached ({', '.join(self.names)}): say which with prompts=..."
                )
            return (0,) if is_exporting() else (0,) * batch
        if isinstance(prompts, str):
            return (self._index(prompts),) * batch
        told: object = prompts.tolist() if isinstance(prompts, Tensor) else prompts
        if not isinstance(told, Iterable) or isinstance(told, bytes):
            raise SoftPromptError(
                f"`prompts` is {quoted(prompts)}: give a prompt's name for all rows, or one name or index a row"
            )
        given: list[str | int] = list(told)
        if len(given) != batch:
            raise SoftPromptError(f"`prompts` names {len(given)} rows, but the batch has {batch}")
        return tuple(self._index(row) for row in given)

    @contextmanager
    def calling(
        self,
        rows: tuple[int, ...],
        conditioning: Tensor | None = None,
        select: Tensor | None = None,
        *,
        inserting: bool = True,
        around: Mapping[nn.Module, Around] | None = None,
    ) -> Iterator[Call]:
        """Let the prompts work in the calls of the backbone inside the block, in this thread or task alone.

        Args:
            rows: the prompt of each row.
            conditioning: columns that may condition a prompt, bool, `(batch, tokens)`, or None for all.
            select: columns whose states the head shall see, `(batch, selected)`, or None for all.
            inserting: whether the virtual tokens still have to be put into the ids.
            around: what else works around modules of the backbone that are asked, such as its head.

        Raises:
            SoftPromptError: the prompts are detached or no longer fit the backbone, or a call is open here already.
        """
        if self.is_running:
            raise SoftPromptError("the attached model is running already: one call cannot stand inside another")
        with self._gate.passing():
            self._still_fits()
            producers, slots = standing(self, self._producers, self.slots)
            call = Call(
                owner=self,
                producers=producers,
                footprints=tuple(one.footprint for one in producers),
                slots=slots,
                rows=rows,
                around=self._around if around is None else {**self._around, **around},
                stand_ins=self._stand_ins,
                training=self.training,
                dropout=self.training and self._dropout,
                inserting=inserting,
                join=Join(producers, rows),
                conditioning=conditioning,
                select=select,
                int8=Int8Products(),
                **self._constants(),
            )
            with opened(call):
                yield call

    @contextmanager
    def staying(self) -> Iterator[None]:
        """See that what is attached stays as it is during the block: who would change it, waits.

        Raises:
            SoftPromptError: the prompts are detached, or the backbone was changed so that they no longer fit.
        """
        with self._gate.passing():
            self._still_fits()
            yield

    @property
    def is_running(self) -> bool:
        """Whether a call of this attached model is open here, in this thread or task."""
        call = current()
        return call is not None and call.owner is self

    def _still_fits(self) -> None:
        """See that the backbone is as the prompts found it, as far as that could be silently wrong.

        Raises:
            SoftPromptError: it is not.
        """
        if torch.compiler.is_compiling():
            return
        if self.training:
            self._frozen.recompute_in_calls()
            self._frozen.rest()
        self._unchanged.check()

    def _index(self, row: str | int) -> int:
        if isinstance(row, str):
            if row not in self.names:
                raise SoftPromptError(f"no prompt named {row!r} is attached: choose from {', '.join(self.names)}")
            return self.names.index(row)
        if not hasattr(row, "__index__"):
            raise SoftPromptError(f"`prompts` names {quoted(row)} for a row: give a prompt's name or index for each")
        if not 0 <= int(row) < len(self.names):
            raise SoftPromptError(f"prompt index {row} is out of range: {len(self.names)} prompts are attached")
        return int(row)

    def _check(self, given: Mapping[str, object], rows: tuple[int, ...], select: Tensor | None) -> None:
        """Refuse what would be silently wrong."""
        refuse_adapter_names(given)
        footprints = [self._producers[row].footprint for row in set(rows)]
        encoded = given.get("encoder_outputs") is not None and not self.anatomy.source
        if encoded and any(one.count or one.prefix for one in footprints):
            raise SoftPromptError("encoder_outputs hold no virtual tokens and no prefix: pass input_ids")
        if select is not None and given.get("labels") is not None:
            raise SoftPromptError("the labels are for all logits: leave them out, or `positions` and `vocabulary`")


def _batch(given: Mapping[str, object]) -> int:
    for name in ("input_ids", "inputs_embeds", "decoder_input_ids", "labels"):
        value = given.get(name)
        if isinstance(value, Tensor) and (value.ndim > 1 or name == "labels"):
            if not value.shape[0]:
                raise SoftPromptError(f"{name} is {tuple(value.shape)}, a batch without rows: give one or more")
            return value.shape[0]
        if value is not None:
            told = f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise SoftPromptError(
                f"{name} is {told}: give a tensor (batch, tokens), and a tokenizer's output as **encoded"
            )
    raise SoftPromptError("the attached model was called without input_ids")
