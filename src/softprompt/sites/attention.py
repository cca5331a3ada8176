"""Site `attention`: trained keys and values stand in front of a layer's own.

The join happens in a function registered with transformers' `AttentionInterface`, beside the model's own implementation
and under one name with its mask function (without the second, transformers hands over no mask at all). A layer's call
carries its keys and values as a keyword, so gradient checkpointing recomputes with the same ones; where layers keep
their keywords to themselves, the open call has them (`Call.carried`).

Some decoders take prefixes through their cache instead: see `through_cache`.

There are three places: the self-attention of the body (an encoder-decoder's encoder), and the self- and the
cross-attention of an encoder-decoder's decoder. The join comes after the cache, which therefore holds the model's own
keys and values alone, in cross-attention too.

The prefix has no position of its own: it is used as trained. The text's positions start at P in the body (the
past-length convention, see `Producer.shift`) and at 0 in a decoder (as in Prefix-Tuning's official code for BART).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedConfig

from softprompt.backbones.compat import (
    ALL_ATTENTION_FUNCTIONS,
    ALL_MASK_ATTENTION_FUNCTIONS,
    ATTENTION,
    AttentionMaskInterface,
    attention_name,
    eager_attention,
    twin_name,
    untwinned,
)
from softprompt.errors import SoftPromptError
from softprompt.sites.asking import current, entry_of
from softprompt.sites.held import changing, hold
from softprompt.sites.joined_attention import Prefix, join_one_row, join_prefix
from softprompt.sites.prefix_sharing import SHARED_PREFIX
from softprompt.sites.shared_attention import SharedPrefix, attend_shared
from softprompt.sites.written_attention import Attend, is_causal, written_out

Place: TypeAlias = Literal["body", "decoder", "cross"]
Pairs: TypeAlias = list[tuple[Tensor, Tensor]]

PREFIXES = "softprompt_prefixes"
_SERVED = ("eager", "sdpa")
_RECORDED: ContextVar[list[Handed] | None] = ContextVar("softprompt_recorded", default=None)
# What is made of a model's own attention function, given the name of its implementation, in calls that are watched.
_AROUND: ContextVar[Callable[[str, Attend], Attend] | None] = ContextVar("softprompt_watched", default=None)


class Handed(NamedTuple):
    """What an attention was handed in a call that is recorded.

    Attributes:
        attention: the module.
        keys: shape `(B, K, T, D)`, rotated and normed as the model itself does it.
        values: as `keys`, of a width that may be another.
        marked: whether the keyword of prefixes reached it.
        biased: whether its mask does more than hide columns.
    """

    attention: nn.Module
    keys: Tensor
    values: Tensor
    marked: bool
    biased: bool


def join_in(*models: nn.Module) -> Callable[[], None]:
    """Let the attention of some models or parts of one join prefixes, inside `held.changing`.

    Without a prefix the twin gives the bits of the model's own implementation, so it does not matter to calls that run
    meanwhile when they see it first.

    Returns:
        A function that gives the implementation back, unless others need the twin too, inside `held.changing`.

    Raises:
        SoftPromptError: the implementation's masks cannot be widened here.
    """
    found = (getattr(module, "config", None) for model in models for module in model.modules())
    configs = {id(config): config for config in found if isinstance(config, PreTrainedConfig)}
    twins = {key: _twin(own_implementation(config)) for key, config in configs.items()}
    undo = [hold([config], ATTENTION, twins[key]) for key, config in configs.items()]

    def let_go() -> None:
        while undo:
            undo.pop()()

    return let_go


def own_implementation(config: PreTrainedConfig) -> str:
    """The name of a configuration's attention, whether prompts are attached or not."""
    return untwinned(attention_name(config))


def _twin(implementation: str) -> str:
    """Register the twin of an attention implementation, and return its name."""
    if implementation not in _SERVED:
        raise SoftPromptError(
            f"the site 'attention' runs with 'sdpa' or 'eager' attention, not {implementation!r}: "
            "load the backbone with attn_implementation='sdpa'"
        )
    name = twin_name(implementation)
    if name not in ALL_ATTENTION_FUNCTIONS:
        AttentionInterface.register(name, _joining(implementation))
        AttentionMaskInterface.register(name, ALL_MASK_ATTENTION_FUNCTIONS[implementation])
    return name


def _joining(implementation: str) -> Attend:
    def attend(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        **kwargs: object,
    ) -> tuple[Tensor, Tensor | None]:
        shared, given = kwargs.pop(SHARED_PREFIX, None), kwargs.pop(PREFIXES, ())
        recorded = None if torch.compiler.is_compiling() else _RECORDED.get()
        if recorded is not None:
            recorded.append(Handed(module, key, value, bool(given), _is_biased(attention_mask)))
        own, states = _own(implementation, module), (query, key, value)
        prefix = _prefix_of(module, given or _carried(module))
        if isinstance(shared, SharedPrefix) and shared.serves(attention_mask, kwargs):
            return join_one_row(prefix, lambda joined: attend_shared(own, module, states, shared, joined, **kwargs))
        # Where an attention cannot share, or was not told, its model finds out that it did not, and runs again.
        if prefix is None or _is_one_row():
            return own(module, query, key, value, attention_mask, **kwargs)
        causal = attention_mask is None and is_causal(implementation, module, kwargs)
        return join_prefix(prefix, own, module, states, attention_mask, kwargs, causal=causal)

    return attend


def _is_one_row() -> bool:
    """Whether the open call runs its rows as one."""
    return getattr(current(), "shared_prefix", None) is not None


def _prefix_of(module: nn.Module, given: object) -> Prefix | None:
    """What an attention joins of what its layer was handed, which then no longer waits for it."""
    assert isinstance(given, tuple)
    for prefix in given:
        if prefix.attention is module:
            if not torch.compiler.is_compiling():
                prefix.waiting.discard(module)
            found: Prefix = prefix
            return found
    return None


def _carried(module: nn.Module) -> object:
    """What the open call has for an attention whose layer keeps its keywords to itself."""
    call = current()
    return () if call is None else entry_of(call.carried, module) or ()


def _own(implementation: str, module: nn.Module) -> Attend:
    """The model's own function, watched or not; in an open call written out where that is quicker."""
    own: Attend = eager_attention(module) if implementation == "eager" else ALL_ATTENTION_FUNCTIONS[implementation]
    around = watcher()
    if around is not None:
        return around(implementation, own)
    return written_out(own) if implementation == "sdpa" and current() is not None else own


def _is_biased(mask: Tensor | None) -> bool:
    if mask is None or not mask.is_floating_point():
        return False
    return bool(((mask != 0) & (mask > torch.finfo(mask.dtype).min / 2)).any())


@contextmanager
def joined(*models: nn.Module) -> Iterator[None]:
    """Let the attention of some models or parts of one run through the twin inside the block.

    Raises:
        SoftPromptError: the implementation of their attention cannot be joined.
    """
    with changing():
        let_go = join_in(*models)
    try:
        yield
    finally:
        with changing():
            let_go()


@contextmanager
def recording(*models: nn.Module) -> Iterator[list[Handed]]:
    """Record the keys and values that attentions use here, in the order of their calls; those of other threads are not.

    Args:
        *models: transformers models, or parts of one, that will be run inside the block.

    Raises:
        SoftPromptError: the implementation of their attention cannot be joined.
    """
    found: list[Handed] = []
    with joined(*models):
        token = _RECORDED.set(found)
        try:
            yield found
        finally:
            _RECORDED.reset(token)


@contextmanager
def standing_around(wrap: Callable[[str, Attend], Attend], *models: nn.Module) -> Iterator[None]:
    """Let something stand around the attention functions of some models here; those of other threads have nothing.

    Args:
        wrap: makes the function that runs, of the implementation's name and the model's own function.
        *models: transformers models, or parts of one, that will be run inside the block.

    Raises:
        SoftPromptError: the implementation of their attention cannot be joined.
    """
    with joined(*models):
        token = _AROUND.set(wrap)
        try:
            yield
        finally:
            _AROUND.reset(token)


def watcher() -> Callable[[str, Attend], Attend] | None:
    """What stands around attention functions here; nothing in a graph: the compiler knows no context variables."""
    return None if torch.compiler.is_compiling() else _AROUND.get()
