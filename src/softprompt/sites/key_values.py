"""What attentions are handed: the sizes of their keys and values, and the way on which a prefix reaches them.

Configurations do not tell it: latent attention (DeepSeek) makes keys of one width and values of another, some families
share one head, others give each kind of layer its own. So the body runs once on a short row, and what arrives at the
attention function is looked at. What was found is kept as long as the body lives and its configuration stays.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.probe import trial_rows
from softprompt.backbones.remembered import Remembered, settings_of
from softprompt.backbones.untouched import untouched
from softprompt.errors import SoftPromptError
from softprompt.sites.attention import PREFIXES, Handed, Place, recording
from softprompt.sites.joined_attention import Prefix


@dataclass(frozen=True)
class Heads:
    """The key-value heads of one attention.

    Attributes:
        count: K.
        keys: D, scalars of a key.
        values: scalars of a value, mostly D.
    """

    count: int
    keys: int
    values: int


@dataclass(frozen=True)
class KeyValues:
    """What the attentions of a backbone are handed.

    Attributes:
        heads: by place, those of each layer's attention; None for a layer whose attention, or text, is not there.
        by_keyword: whether layers hand the keywords that they are given on to their attention.
        by_cache: whether prefixes go through the cache, because attention is no function that could be another, or is
            not all that is made of keys and values.
        sources: of each layer of the body the one whose keys and values it takes, mostly its own; () for that.
    """

    heads: Mapping[Place, tuple[Heads | None, ...]]
    by_keyword: bool
    by_cache: bool = False
    sources: tuple[int, ...] = ()


if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ROW, _SHORT = 8, 5  # tokens of the trial's rows, of the body and of a decoder
_FOUND: Remembered[KeyValues] = Remembered()


def key_values(anatomy: Anatomy) -> KeyValues:
    """Look at what a backbone's attentions are handed, or remember it.

    Raises:
        SoftPromptError: no attention is handed keys and values of the text, and its configuration tells of none.
    """
    body = anatomy.body
    state = f"{settings_of(body)} {[id(one) for one in _attentions(anatomy)]} {next(body.parameters()).is_meta}"
    return _FOUND.of(body, state, lambda: _look(anatomy))


class Carrier:
    """How prefixes come from a layer's call to its attentions.

    Attributes:
        by_cache: whether they go through the cache instead.
    """

    def __init__(self, anatomy: Anatomy) -> None:
        """Of a backbone."""
        self._anatomy, self._by_keyword, self.by_cache = anatomy, True, False
        self._sources: tuple[int, ...] = ()

    def look(self) -> None:
        """See what the layers hand on, in no call of theirs.

        Raises:
            SoftPromptError: nothing tells of keys and values.
        """
        found = key_values(self._anatomy)
        self._by_keyword, self.by_cache, self._sources = found.by_keyword, found.by_cache, found.sources

    def source(self, layer: int) -> int:
        """The layer of the body whose keys and values a layer takes: prefixes stand with those."""
        return self._sources[layer] if self._sources else layer

    def __call__(self, prefixes: tuple[Prefix, ...], carried: dict[nn.Module, object]) -> dict[str, object]:
        """The keyword for a layer's call; none where the open call has to have the prefixes.

        Args:
            prefixes: of one layer, or none.
            carried: what the open call has for attentions.

        Raises:
            SoftPromptError: layers that share an attention, and keep keywords to themselves, shall be recomputed.
        """
        if not prefixes or self._by_keyword:
            return {PREFIXES: prefixes} if prefixes else {}
        part = self._anatomy
        if part.checkpoints and part.attentions.count(prefixes[0].attention) > 1:
            raise SoftPromptError(
                f"family {part.family!r} has one attention in several layers: with a prefix turn checkpointing off"
            )
        carried.update(dict.fromkeys((prefix.attention for prefix in prefixes), prefixes))
        return {}


def _attentions(anatomy: Anatomy) -> tuple[nn.Module | None, ...]:
    return (*anatomy.attentions, *anatomy.decoder_attentions, *anatomy.cross_attentions)


def _look(anatomy: Anatomy) -> KeyValues:
    """By a run whose layers are given a keyword, else by one whose layers are given none, else by the configuration."""
    anatomy.require_site("attention")
    if not anatomy.has_open_attention:
        return _cached(anatomy)
    for marked in (True, False):
        found: list[Handed] = []
        with suppress(Exception):  # a model may raise anything
            found = _run(anatomy, marked=marked)
        heads = {place: _heads(found, own, whole) for place, own, whole in _places(anatomy)}
        if any(heads["body"]) and anatomy.cached and _is_not_all(found, anatomy):
            return _cached(anatomy)
        if any(heads["body"]):
            sources = _sources(found, anatomy.attentions)
            heads["body"] = tuple(one if sources[i] == i else None for i, one in enumerate(heads["body"]))
            return KeyValues(heads, by_keyword=marked and all(one.marked for one in found), sources=sources)
    return _told(anatomy)


def _sources(found: Sequence[Handed], attentions: Sequence[nn.Module | None]) -> tuple[int, ...]:
    """Of each layer the first whose attention was handed the very same keys: Gemma 3n's last layers take others'."""
    handed = {one.attention: one.keys.data_ptr() for one in found}
    keys = [None if one is None or attentions.count(one) > 1 else handed.get(one) for one in attentions]
    return tuple(layer if own is None else keys.index(own) for layer, own in enumerate(keys))


def _is_not_all(found: Sequence[Handed], anatomy: Anatomy) -> bool:
    """Whether attention makes more of keys and values than its function is told in one call.

    DiffLlama calls it twice, with each half of the values; Doge makes a mask of the values.
    """
    calls = Counter(one.attention for one in found)
    return any(one.biased for one in found) or any(calls[one] > anatomy.attentions.count(one) for one in calls)


def _cached(anatomy: Anatomy) -> KeyValues:
    return KeyValues({"body": tuple(Heads(*sizes) for sizes in anatomy.cached)}, by_keyword=False, by_cache=True)


def _places(anatomy: Anatomy) -> list[tuple[Place, Sequence[nn.Module | None], int]]:
    """Each place with its attentions and how many keys they are handed of the trial's row."""
    places: list[tuple[Place, Sequence[nn.Module | None], int]] = [("body", anatomy.attentions, _ROW)]
    if anatomy.decoder_layers:
        places += [("decoder", anatomy.decoder_attentions, _SHORT), ("cross", anatomy.cross_attentions, _ROW)]
    return places


def _run(anatomy: Anatomy, *, marked: bool) -> list[Handed]:
    body, decoder = anatomy.body, anatomy.decoder
    parts = [body] if decoder is None else [body, decoder]
    row = trial_rows(cast("PreTrainedModel", body), 1)[:1]
    layers = (*anatomy.layers, *anatomy.decoder_layers)
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(untouched(part))
        found = stack.enter_context(recording(*parts))
        if marked:
            stack.enter_context(_marking(layers))
        output = body(**_known(body, input_ids=row, attention_mask=torch.ones_like(row), use_cache=False))
        if decoder is not None and anatomy.decoder_layers:
            given = {"encoder_hidden_states": output[0], "use_cache": False}
            decoder(**_known(decoder, input_ids=row[:, :_SHORT], **given))
    return found


def _known(module: nn.Module, **given: object) -> dict[str, object]:
    names = inspect.signature(module.forward).parameters
    return {name: value for name, value in given.items() if name in names}


@contextmanager
def _marking(layers: Sequence[nn.Module]) -> Iterator[None]:
    """Give layers the keyword that carries prefixes, with one that is no attention's."""

    def give(
        module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        nobody = Prefix(nn.Module(), torch.empty(0), torch.empty(0), None, None, set())
        return args, {**kwargs, PREFIXES: (nobody,)}

    with ExitStack() as stack:
        for layer in dict.fromkeys(layers):
            stack.callback(layer.register_forward_pre_hook(give, with_kwargs=True).remove)
        yield


def _heads(found: Sequence[Handed], attentions: Sequence[nn.Module | None], length: int) -> tuple[Heads | None, ...]:
    """Of each attention the heads that it was handed, where they are those of the text's columns."""
    by_module = {
        one.attention: Heads(one.keys.shape[1], one.keys.shape[3], one.values.shape[3])
        for one in found
        if one.keys.ndim == 4 and one.keys.shape[2] == one.values.shape[2] == length
    }
    return tuple(None if one is None else by_module.get(one) for one in attentions)


def _told(anatomy: Anatomy) -> KeyValues:
    """As the configuration says, for a body that cannot be run on ids alone."""
    sizes: dict[Place, tuple[int, int, Sequence[nn.Module | None]]] = {
        "body": (anatomy.num_key_value_heads, anatomy.head_dim, anatomy.attentions)
    }
    if anatomy.decoder_layers:
        inner = anatomy.decoder_key_value_heads, anatomy.decoder_head_dim
        sizes |= {"decoder": (*inner, anatomy.decoder_attentions), "cross": (*inner, anatomy.cross_attentions)}
    if not all(count and size for count, size, _ in sizes.values()):
        raise SoftPromptError(
            f"family {anatomy.family!r} cannot serve the site 'attention': what keys and values its attention takes is "
            f"neither seen in a trial nor told by its configuration; {anatomy.besides('attention')}"
        )
    return KeyValues(
        {
            place: tuple(None if one is None else Heads(count, size, size) for one in attentions)
            for place, (count, size, attentions) in sizes.items()
        },
        by_keyword=True,
    )
