"""`generate` for an attached model: virtual tokens go in once, and the user's processors never see them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.generation.streamers import BaseStreamer
from transformers.utils.generic import ModelOutput

from softprompt.attached.by_lengths import by_lengths
from softprompt.attached.generate_options import check_options, check_room
from softprompt.attached.heard import generate_heard
from softprompt.attached.leftward import is_padded_behind, leftward
from softprompt.attached.only_answers import OnlyAnswers
from softprompt.backbones.cached import cache_name
from softprompt.backbones.compat import BY_LENGTH, CRITERIA, PROCESSORS
from softprompt.backbones.within import check_generates
from softprompt.backbones.wrapped import refuse_adapter_names
from softprompt.errors import SoftPromptError
from softprompt.sites.apart import pads
from softprompt.sites.arguments import beside
from softprompt.sites.attached import Attached, Rows
from softprompt.sites.insertion import insert
from softprompt.sites.layout import UserBatch
from softprompt.sites.outputs import gather, user_length
from softprompt.sites.positions import of_rows


class _Generates(Protocol):
    """A model of transformers that generates."""

    generation_config: GenerationConfig

    def generate(self, **kwargs: Any) -> Tensor | ModelOutput:
        """Ids, or an output with them in `sequences`."""


def generate(model: Attached, inputs: Tensor | None, prompts: Rows, **kwargs: Any) -> object:
    """Generate with each row's prompt.

    An instance-aware prompt is made from the tokens that this call is given (with a cache, from those that the cache
    began with), never from generated ones.

    Args:
        model: the attached model.
        inputs: the user's ids, `(batch, tokens)`; `input_ids=` does as well.
        prompts: see `PromptedModel.forward`.
        **kwargs: as the model's own `generate` takes them; `max_length` and `min_length` count the user's tokens.

    Returns:
        What the model's own `generate` returns, without virtual tokens.

    Raises:
        SoftPromptError: an option that cannot work with virtual tokens.
    """
    refuse_adapter_names(kwargs)
    if model.anatomy.source:
        return generate_heard(model, inputs, prompts, kwargs)
    ids = inputs if inputs is not None else kwargs.pop("input_ids", None)
    given = ids if ids is not None else kwargs.get("inputs_embeds")
    if given is None:
        raise SoftPromptError("generate needs input_ids")
    rows = model.rows(prompts, given.shape[0])
    virtual = any(model.slots[row].count for row in rows)
    check_generates(model.backbone, virtual=virtual)
    embedded = kwargs.get("inputs_embeds") is not None
    if virtual and embedded:
        raise SoftPromptError("this prompt stands in the sequence as virtual tokens: pass input_ids, not inputs_embeds")
    if model.anatomy.kind == "causal" and not embedded:
        mask = _mask_of(model, ids) if kwargs.get("attention_mask") is None else kwargs["attention_mask"]
        if is_padded_behind(mask, kwargs):
            return leftward(partial(generate, model, prompts=rows), ids, mask, kwargs)
        if pads(mask, model.moving):
            end = cast("_Generates", model.backbone).generation_config.pad_token_id
            return by_lengths(partial(generate, model), ids, rows, {**kwargs, "attention_mask": mask}, end)
    return _generate(model, ids, rows, kwargs, virtual=virtual)


def _generate(
    model: Attached, ids: Tensor | None, rows: tuple[int, ...], kwargs: dict[str, object], *, virtual: bool
) -> object:
    """What the model's own `generate` gives for rows that stand as it needs them."""
    backbone = cast("_Generates", model.backbone)
    if ids is None or not virtual:
        with model.calling(rows):
            return backbone.generate(input_ids=ids, **kwargs)
    check_options(model, rows, kwargs)
    if model.anatomy.kind == "encoder-decoder":
        with model.calling(rows) as call:
            output = backbone.generate(input_ids=ids, **kwargs)
        return user_length(output, call, encoder_decoder=True)
    return _with_virtual_tokens(model, ids, rows, kwargs)


def _with_virtual_tokens(
    model: Attached, ids: Tensor, rows: tuple[int, ...], kwargs: dict[str, Any]
) -> Tensor | ModelOutput:
    """Generate with a decoder-only model, whose sequence holds the virtual tokens; they go in here, once."""
    backbone = cast("_Generates", model.backbone)
    mask = kwargs.pop("attention_mask", None)
    mask = _mask_of(model, ids) if mask is None else mask
    full, full_mask, keep = ids, mask, None
    if not bool((ids >= model.anatomy.vocab_size).any()):
        given = of_rows(kwargs.get("position_ids"), ids.shape[0], mask)
        # What keys and values take of positions is added at each call.
        layout = insert(UserBatch(ids, mask, given), [replace(one, prefix=0) for one in model.slots], rows)
        assert layout.mask is not None
        kwargs |= beside(kwargs, layout) | ({} if given is None else {"position_ids": layout.positions})
        full, full_mask, keep = layout.ids, layout.mask, layout.keep
        _count_in(backbone, kwargs, full.shape[1] - ids.shape[1])
        check_room(kwargs, full.shape[1], full.shape[1] - ids.shape[1])
    if kwargs.get("streamer") is not None:
        kwargs["streamer"] = _Streamer(kwargs["streamer"], ids)
    if cache_name(model.anatomy.body) is None:
        kwargs["use_cache"] = False  # or `generate` would leave out columns that no cache holds (RWKV)
    with model.calling(rows, full_mask.bool(), inserting=False):
        shown = _showing_text(backbone, model.anatomy.vocab_size)
        output = shown.generate(input_ids=full, attention_mask=full_mask, **kwargs)
    return _own(output, ids, full.shape[1], keep)


def _mask_of(model: Attached, ids: Tensor) -> Tensor:
    """As transformers infers it: padding where the pad token is none of the end tokens."""
    config = cast("_Generates", model.backbone).generation_config
    pad, end = config.pad_token_id, config.eos_token_id
    ends = end if isinstance(end, list) else [end]
    return torch.ones_like(ids) if pad is None or pad in ends else ids.ne(pad).long()


def _count_in(backbone: _Generates, kwargs: dict[str, Any], added: int) -> None:
    """Lengths in the user's own tokens, given here or by the model's configuration, in tokens of the whole sequence."""
    given, usual = copy.deepcopy(kwargs.get("generation_config")), backbone.generation_config
    if given is not None:
        kwargs["generation_config"] = given
    for name in ("max_length", "min_length"):
        if kwargs.get(name) is not None:
            kwargs[name] += added
        elif getattr(given, name, None) is not None:
            setattr(given, name, getattr(given, name) + added)
        elif getattr(usual, name, None) and not _counts_new(name.replace("length", "new_tokens"), kwargs, given, usual):
            if given is None:
                kwargs[name] = getattr(usual, name) + added
            else:
                setattr(given, name, getattr(usual, name) + added)


def _counts_new(name: str, kwargs: Mapping[str, object], *configs: GenerationConfig | None) -> bool:
    """Whether new tokens are counted, beside which a length of all has no say."""
    return any(one is not None for one in (kwargs.get(name), *(getattr(config, name, None) for config in configs)))


def _own(output: Tensor | ModelOutput, ids: Tensor, full: int, keep: Tensor | None) -> Tensor | ModelOutput:
    """The output with the user's ids and the new tokens as its sequences, and without the states of virtual tokens."""
    sequences = output if isinstance(output, Tensor) else output["sequences"]
    repeat = sequences.shape[0] // ids.shape[0]
    own = torch.cat([ids.repeat_interleave(repeat, 0), sequences[:, full:]], dim=-1)
    if isinstance(output, Tensor):
        return own
    output["sequences"] = own
    steps = output.get("hidden_states")
    if steps is not None and keep is not None:
        columns = keep.repeat_interleave(steps[0][0].shape[0] // keep.shape[0], 0)
        output["hidden_states"] = tuple(tuple(_kept(states, columns, full) for states in step) for step in steps)
    return output


def _kept(states: Tensor, columns: Tensor, full: int) -> Tensor:
    """States of a step at the user's columns; a step that holds new tokens only is as it should be."""
    if states.shape[1] < full:
        return states
    new = torch.arange(full, states.shape[1], device=states.device).expand(columns.shape[0], -1)
    return gather(states, torch.cat([columns, new], dim=-1))


class _Processor(LogitsProcessor):
    """A processor that is shown the text's ids only. It takes no keywords: a list would demand each of them."""

    def __init__(self, inner: LogitsProcessor, vocab_size: int) -> None:
        self.inner, self.vocab_size = inner, vocab_size

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return _on_text(lambda ids: self.inner(ids, scores.clone()), input_ids, self.vocab_size)


class _Criterion(StoppingCriteria):
    """A stopping criterion that is shown the text's ids only."""

    def __init__(self, inner: StoppingCriteria, vocab_size: int) -> None:
        self.inner, self.vocab_size = inner, vocab_size

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:
        return _on_text(lambda ids: self.inner(ids, scores, **kwargs), input_ids, self.vocab_size)


def _on_text(apply: Callable[[Tensor], Tensor], ids: Tensor, vocab_size: int) -> Tensor:
    """What a function of a batch of ids gives for each row's ids without virtual ones.

    Rows that hold different numbers of these (a template placed them in padded rows) take their results from calls of
    their own, in which every row keeps its place in the batch.
    """
    virtual = ids >= vocab_size
    lost = virtual.sum(-1, keepdim=True)
    order = virtual.long().argsort(dim=-1, descending=True, stable=True)
    moved = ids.gather(1, order)  # [B, T] virtual ids first, the text in its order behind
    moved = torch.where(moved < vocab_size, moved, moved[:, -1:])  # rows that a call is not for need valid ids too
    amounts = lost.unique().tolist()
    result = apply(moved[:, amounts[0] :])
    for amount in amounts[1:]:
        rows = (lost == amount).view(-1, *[1] * (result.ndim - 1))
        result = torch.where(rows, apply(moved[:, amount:]), result)
    return result


class _Streamer:
    """A streamer that is shown the user's ids first."""

    def __init__(self, inner: BaseStreamer, ids: Tensor) -> None:
        self._inner = inner
        self._first: Tensor | None = ids

    def put(self, value: Tensor) -> None:
        """Pass new tokens on; the first value is the whole input."""
        shown = value if self._first is None else self._first.cpu()
        self._first = None
        self._inner.put(shown)

    def end(self) -> None:
        """Pass the end on."""
        self._inner.end()


def _showing_text(backbone: _Generates, vocab_size: int) -> _Generates:
    """The model itself, as one whose `generate` shows processors and criteria the text's ids only.

    Repetition penalties and their like index the vocabulary by id. All state is the model's own; only its class is
    another here, so calls in other threads do not notice.
    """
    own: Any = type(backbone)
    kind = _text_kind(own, vocab_size)
    shown: _Generates = object.__new__(kind)
    object.__setattr__(shown, "__dict__", backbone.__dict__)
    return shown


def _sees_all(one: object, users: set[int]) -> bool:
    """Whether a processor or criterion goes by lengths alone, so that it is shown whole sequences."""
    return isinstance(one, OnlyAnswers) or (type(one).__name__ in BY_LENGTH and id(one) not in users)


@cache
def _text_kind(kind: Any, vocab_size: int) -> Any:
    """The sub-class of a model's class whose processors and criteria are shown ids below the vocabulary's size."""

    def showing(name: str, container: Any, wrapper: Any, custom: str) -> Any:
        maker = getattr(kind, name)

        def make(self: Any, *args: Any, **kwargs: Any) -> Any:
            if kwargs.get("encoder_input_ids") is not None:
                ids = kwargs["encoder_input_ids"]
                kwargs["encoder_input_ids"] = torch.where(ids < vocab_size, ids, ids[:, -1:])
            users = {id(x) for x in kwargs.get(custom) or ()}
            return container(x if _sees_all(x, users) else wrapper(x, vocab_size) for x in maker(self, *args, **kwargs))

        return make

    processors = showing(PROCESSORS, LogitsProcessorList, _Processor, "logits_processor")
    criteria = showing(CRITERIA, StoppingCriteriaList, _Criterion, "stopping_criteria")
    named = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    makers = {PROCESSORS: processors, CRITERIA: criteria}
    return type(kind)(kind.__name__, (kind,), {**makers, **named})
