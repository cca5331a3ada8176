"""The methods of the sweep, one a site or two, each with vectors that matter, and what it should give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

import softprompt as sp

from . import references
from .bare import Bare, paths_in
from .verdict import Unknown

VIRTUAL = 3  # P
PLACES = {"body": "keys_values", "decoder": "decoder_keys_values", "cross": "cross_keys_values"}
Nudge = tuple[str, Callable[[float], AbstractContextManager[None]]]  # by how much


class Case(NamedTuple):
    """A method as the sweep has it.

    Attributes:
        method: with its options.
        site: where its vectors enter.
        scale: of its vectors' random values; None leaves them as they begin.
        parts: what must count one by one: names, and blocks in which one of them is another.
        reference: what it should give, by a twin of the model.
    """

    method: sp.Method
    site: str
    scale: float | None
    parts: Callable[[Any], Iterator[Nudge]]
    reference: Callable[[Bare, PreTrainedModel, Any, sp.Anatomy], Tensor]

    @property
    def name(self) -> str:
        """The method's."""
        return self.method.name


def filled(case: Case, producer: nn.Module) -> nn.Module:
    """A prompt with the case's random values."""
    if case.scale is not None:
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for parameter in producer.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * case.scale)
    return producer


@contextmanager
def _nudged(parameter: Tensor, place: int, size: float) -> Iterator[None]:
    kept = parameter.detach().clone()
    with torch.no_grad():
        parameter[place] += torch.randn_like(parameter[place]) * size
    yield
    with torch.no_grad():
        parameter.copy_(kept)


@contextmanager
def _other_values(producer: Any, name: str, layer: int, size: float) -> Iterator[None]:
    make = getattr(producer, name)

    def pairs() -> list[tuple[Tensor, Tensor]]:
        found = list(make())
        keys, values = found[layer]
        found[layer] = keys, values + torch.randn_like(values) * size
        return found

    setattr(producer, name, pairs)
    yield
    delattr(producer, name)


def _rows_of_table(what: str) -> Callable[[Any], Iterator[Nudge]]:
    def parts(producer: Any) -> Iterator[Nudge]:
        (table, *_) = producer.parameters()
        for row in range(len(table)):
            yield f"{what} {row}", partial(_nudged, table, row)

    return parts


def _values_of_layers(producer: Any) -> Iterator[Nudge]:
    for place, name in _places(producer).items():
        for layer, (_, values) in enumerate(getattr(producer, name)()):
            if values.shape[1]:
                yield f"values of layer {layer} ({place})", partial(_other_values, producer, name, layer)


def _places(producer: Any) -> dict[str, str]:
    own = producer.footprint
    lengths = {"body": own.prefix, "decoder": own.decoder_prefix, "cross": own.cross_prefix}
    return {place: name for place, name in PLACES.items() if lengths[place]}


def _words(bare: Bare, twin: PreTrainedModel, producer: Any, anatomy: sp.Anatomy) -> Tensor:
    (table,) = producer.parameters()
    return references.by_embeddings(bare, twin, table.detach())


def _prefixes(bare: Bare, twin: PreTrainedModel, producer: Any, anatomy: sp.Anatomy) -> Tensor:
    modules = {"body": anatomy.attentions, "decoder": anatomy.decoder_attentions, "cross": anatomy.cross_attentions}
    paths = paths_in(bare.model)
    pairs: dict[str, tuple[Tensor, Tensor]] = {}
    for place, name in _places(producer).items():
        for module, (keys, values) in zip(modules[place], getattr(producer, name)(), strict=True):
            if module is None:  # a layer without attention
                continue
            if paths[id(module)] in pairs:
                raise Unknown("layers with shared weights")
            if keys.shape[1]:
                pairs[paths[id(module)]] = keys.detach(), values.detach()
    if anatomy.kind == "causal" and all(references.fits_a_cache(twin.get_submodule(path)) for path in pairs):
        with suppress(Unknown):
            return references.by_cache(bare, twin, pairs)
    moves = (producer.shift or anatomy.kind == "causal") and _takes_positions(anatomy)
    return references.by_attention(bare, twin, pairs, VIRTUAL if moves else 0)


def _capsules(bare: Bare, twin: PreTrainedModel, producer: Any, anatomy: sp.Anatomy) -> Tensor:
    paths = paths_in(bare.model)
    told = _takes_positions(anatomy) or anatomy.uncounted is not None
    shift = anatomy.kind == "causal" or not anatomy.absolute or not told
    layers = [paths[id(layer)] for layer in anatomy.layers]
    return references.by_layers(bare, twin, producer.table.detach(), producer.start, layers, shift=shift)


def _takes_positions(anatomy: sp.Anatomy) -> bool:
    """Whether the text can be told where it stands; else each column takes a position, and a prefix none."""
    return anatomy.takes_position_ids or anatomy.positions is not None


CASES = (
    # Random vectors, of no word: Gemma 4 tells the embeddings of words from others.
    Case(sp.PromptTuning(num_virtual_tokens=VIRTUAL), "stream", 0.3, _rows_of_table("virtual token"), _words),
    Case(sp.PTuningV2(num_virtual_tokens=VIRTUAL), "attention", 1.0, _values_of_layers, _prefixes),
    Case(sp.PrefixTuning(num_virtual_tokens=VIRTUAL), "attention", None, _values_of_layers, _prefixes),
    Case(sp.CaPT(), "hidden", 0.5, _rows_of_table("capsule of layer"), _capsules),
)
