"""The keys and values that a call joins: made once of the prompts, and handed to each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

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
        self, asked: Mapping[Place, nn.Module], layer: int, batch: int, dtype: torch.dtype
    ) -> tuple[Prefix, ...]:
        """The prefixes of a layer's attentions, by the places that these are; see `of_layer`."""
        found = (self.of_layer(place, layer, attention, batch, dtype) for place, attention in asked.items())
        return tuple(prefix for prefix in found if prefix is not None)

    def of_layer(self, place: Place, layer: int, attention: nn.Module, batch: int, dtype: torch.dtype) -> Prefix | None:
        """The prefix of a place's `layer` for a batch of `batch` rows, or None where no row has one.

        A batch that is a multiple of the rows was repeated row by row (beams).
        """
        joining = sorted({row for row in self._rows if self._length(row, place)})
        pairs = {index: self._pairs(index, place, dtype)[layer] for index in joining}
        used = [index for index in joining if pairs[index][0].shape[1]]
        if not used:
            return None
        if not torch.compiler.is_compiling():
            self._waiting.add(attention)
        if len(set(self._rows)) == 1:
            scales = self._prompts[used[0]].prefix_values() if place == "body" else None
            scale = None if scales is None else scales[layer]
            keys, values = (states.expand(batch, -1, -1, -1) for states in pairs[used[0]])
            return Prefix(attention, keys, values, None, scale, self._waiting)
        lengths = [pairs[row][0].shape[1] if row in pairs else 0 for row in self._rows]
        width = max(lengths)
        order = {index: rank for rank, index in enumerate(used)}
        rank = torch.tensor([order.get(row, 0) for row in self._rows], device=pairs[used[0]][0].device)
        seen = torch.arange(width, device=rank.device) < torch.tensor(lengths, device=rank.device)[:, None]
        repeat = batch // len(self._rows)
        keys, values = (
            torch.stack([nn.functional.pad(pairs[i][side], (0, 0, 0, width - pairs[i][side].shape[1])) for i in used])
            for side in (0, 1)
        )
        index = rank.repeat_interleave(repeat)
        return Prefix(attention, keys[index], values[index], seen.repeat_interleave(repeat, 0), None, self._waiting)

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
