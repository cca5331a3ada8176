"""The keys and values that a call joins: made once of the prompts, and handed to each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from softprompt.errors import SoftPromptError
from softprompt.sites.attention import Pairs, Place
from softprompt.sites.joined_attention import Prefix
from softprompt.sites.producer import Producer


class Join:
    """The keys and values of one call, made once and handed to each layer."""

    def __init__(self, prompts: Sequence[Producer], rows: Sequence[int], whole: Join | None = None) -> None:
        """Remember who stands in which row, of a `whole` call or by itself; nothing is computed before a layer asks."""
        self._prompts, self._footprints = prompts, [one.footprint for one in prompts]
        self._rows = tuple(rows)
        self._waiting: set[nn.Module] = set()
        self._made: dict[tuple[int, Place], Pairs] = {} if whole is None else whole._made

    def of_places(
        self, asked: Mapping[Place, nn.Module], layer: int, batch: int | None, dtype: torch.dtype
    ) -> tuple[Prefix, ...]:
        """The prefixes of a layer's attentions, by the places that these are; see `of_layer`."""
        found = (self.of_layer(place, layer, attention, batch, dtype) for place, attention in asked.items())
        return tuple(prefix for prefix in found if prefix is not None)

    def of_layer(
        self, place: Place, layer: int, attention: nn.Module, batch: int | None, dtype: torch.dtype
    ) -> Prefix | None:
        """The prefix of a place's `layer`, or None where no row has one.

        Args:
            place: of the attention.
            layer: its number.
            attention: the module that joins it.
            batch: rows of the batch; a multiple of this call's was repeated row by row (beams). None where they run as
                one: then there is one prefix a prompt, in the order of their indices, and no row has a copy.
            dtype: of the keys and values.

        Raises:
            SoftPromptError: a prompt that weighs its layers stands among others.
        """
        present = sorted(set(self._rows))
        pairs = {index: self._pairs(index, place, dtype)[layer] for index in present if self._length(index, place)}
        lengths = tuple(pairs[index][0].shape[1] if index in pairs else 0 for index in present)
        if not any(lengths):
            return None
        if not torch.compiler.is_compiling():
            self._waiting.add(attention)
        if len(present) == 1:
            scales = self._prompts[present[0]].prefix_values() if place == "body" else None
            scale = None if scales is None else scales[layer]
            keys, values = (states.expand(batch or 1, -1, -1, -1) for states in pairs[present[0]])
            return Prefix(attention, keys, values, None, scale, self._waiting, lengths)
        if place == "body" and any(self._prompts[index].prefix_values() is not None for index in present):
            raise SoftPromptError("prompts that weigh their layers (prefix_values) stand alone: call their rows apart")
        used = [pairs[index] for index, length in zip(present, lengths, strict=True) if length]
        keys, values = (_side_by_side([pair[side] for pair in used], lengths) for side in (0, 1))
        seen = torch.arange(max(lengths), device=keys.device) < torch.tensor(lengths, device=keys.device)[:, None]
        if batch is None:
            return Prefix(attention, keys, values, seen, None, self._waiting, lengths)
        order = {index: rank for rank, index in enumerate(present)}
        rank = torch.tensor([order[row] for row in self._rows], device=keys.device)
        index = rank.repeat_interleave(batch // len(self._rows))
        return Prefix(attention, keys[index], values[index], seen[index], None, self._waiting, lengths)

    def check(self, family: str) -> None:
        """See that every attention joined what it was handed.

        Raises:
            SoftPromptError: the family's layers keep their keywords to themselves.
        """
        if self._waiting:
            raise SoftPromptError(
                f"family {family!r} does not hand keys and values on to its attention: take a method of another site, "
                "such as prompt_tuning"
            )

    def _length(self, index: int, place: Place) -> int:
        own = self._footprints[index]
        return {"body": own.prefix, "decoder": own.decoder_prefix, "cross": own.cross_prefix}[place]

    def _pairs(self, index: int, place: Place, dtype: torch.dtype) -> Pairs:
        if (index, place) not in self._made:
            prompt = self._prompts[index]
            make = {
                "body": prompt.keys_values,
                "decoder": prompt.decoder_keys_values,
                "cross": prompt.cross_keys_values,
            }[place]
            self._made[index, place] = [(keys.to(dtype), values.to(dtype)) for keys, values in make()]
        return self._made[index, place]


def _side_by_side(found: Sequence[Tensor], lengths: Sequence[int]) -> Tensor:
    """Keys or values `(G, K, P, D)` of each prompt, given those `(K, n, D)` of the prompts that have some."""
    width, given = max(lengths), iter(found)
    nothing = found[0].new_zeros(found[0].shape[0], width, found[0].shape[2])
    return torch.stack(
        [nn.functional.pad(next(given), (0, 0, 0, width - length)) if length else nothing for length in lengths]
    )
