"""Keys and values for whole stacks of layers: a table of them, or a perceptron that makes it and is dropped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.cached import kept_of
from softprompt.backbones.resting import device_of
from softprompt.errors import SoftPromptError
from softprompt.methods.base import BuildContext
from softprompt.methods.parts.layers import LayerSelection
from softprompt.sites.attention import Handed, Pairs, Place, recording
from softprompt.sites.key_values import Heads, key_values
from softprompt.sites.modes import evaluating
from softprompt.sites.producer import Producer


@dataclass(frozen=True)
class Stack:
    """The attentions of one place.

    Attributes:
        heads: L, those of each layer's attention: K, and the widths D of keys and values; None where a layer has none.
        chosen: the places among them that have a prefix, ascending; None for all that can.
    """

    heads: tuple[Heads | None, ...]
    chosen: tuple[int, ...] | None = None

    @property
    def places(self) -> tuple[int, ...]:
        """The places that have a prefix."""
        able = tuple(place for place, heads in enumerate(self.heads) if heads is not None)
        return able if self.chosen is None else tuple(place for place in able if place in self.chosen)

    @property
    def widths(self) -> list[tuple[Heads, int]]:
        """What stands side by side in a flat row: for each chosen layer its keys, then its values, `K D` each."""
        own = [self.heads[place] for place in self.places]
        return [(heads, width) for heads in own if heads is not None for width in (heads.keys, heads.values)]

    @property
    def flat(self) -> int:
        """Scalars of one prefix position: a key and a value a chosen layer, 2 L K D where all are alike."""
        return sum(heads.count * width for heads, width in self.widths)


def stacks(anatomy: Anatomy) -> dict[Place, Stack]:
    """The places of a backbone: its body's self-attention; an encoder-decoder's decoder has two more.

    Raises:
        SoftPromptError: no attention of it can join a prefix.
    """
    anatomy.require_site("attention")
    return {place: Stack(heads) for place, heads in key_values(anatomy).heads.items()}


def chosen_of(selection: LayerSelection, stack: Stack) -> Stack:
    """A stack with prefixes at the layers of a selection, those without attention left out.

    Raises:
        SoftPromptError: none of them has attention, or one that is named by its number has none.
    """
    wanted, able = selection.of(len(stack.heads)), set(stack.places)
    if not able.intersection(wanted) or not able.issuperset(selection.numbers):
        having = ",".join(map(str, sorted(able)))
        raise SoftPromptError(f"select={selection} names layers that have no attention: choose from {having}")
    return replace(stack, chosen=wanted)


class KeysValues(nn.Module):
    """The P keys and values of each layer of a stack.

    Attributes:
        table: `(P, 2 L K D)`, or what `project` makes it of.
        project: the perceptron, or None.
    """

    def __init__(self, stack: Stack, table: Tensor, project: nn.Sequential | None, dropout: float = 0.0) -> None:
        """See the class; `dropout` falls on keys and values while training."""
        super().__init__()
        self.stack = stack
        self.table = nn.Parameter(table.clone())
        self.project = project
        self.dropout = nn.Dropout(dropout)

    def made(self) -> Tensor:
        """The flat table, `(P, 2 L K D)`."""
        flat: Tensor = self.table if self.project is None else self.project(self.table)
        return flat

    def pairs(self) -> Pairs:
        """For each layer keys and values, each `(K, P, D)`: the flat table seen as (P, 2 L, K, D), as in both codes.

        Layers that are not chosen have `(K, 0, D)`.
        """
        stack, flat = self.stack, self.dropout(self.made())
        parts = flat.split([heads.count * width for heads, width in stack.widths], dim=1)
        seen = [
            part.view(-1, heads.count, width).transpose(0, 1)
            for part, (heads, width) in zip(parts, stack.widths, strict=True)
        ]
        none = Heads(0, 0, 0)
        empty = [(own or none) for own in stack.heads]
        pairs = [(flat.new_zeros(own.count, 0, own.keys), flat.new_zeros(own.count, 0, own.values)) for own in empty]
        for place, layer in enumerate(stack.places):
            pairs[layer] = (seen[2 * place], seen[2 * place + 1])
        return pairs

    def use(self, flat: Tensor) -> None:
        """Take a flat table as used; a perceptron has no more part in it."""
        self.project = None
        self.table = nn.Parameter(flat.clone())

    @torch.enable_grad()
    def fit(self, flat: Tensor, steps: int, rate: float) -> None:
        """Fit the perceptron, not the table that it reads, to a flat table: mean squared error, Adam."""
        assert self.project is not None
        optimizer, rows = torch.optim.Adam(self.project.parameters(), lr=rate), self.table.detach()
        for _ in range(steps):
            optimizer.zero_grad()
            nn.functional.mse_loss(self.project(rows), flat).backward()
            optimizer.step()
        optimizer.zero_grad()


class Prefixes(Producer):
    """Keys and values at one place or three; `stored` holds them as used, whatever made them.

    Attributes:
        body: of the body's self-attention.
        decoder: of a decoder's self-attention, or None.
        cross: of its cross-attention, or None.
    """

    def __init__(
        self,
        body: KeysValues,
        decoder: KeysValues | None = None,
        cross: KeysValues | None = None,
        *,
        shift: bool = True,
    ) -> None:
        """See the class; for `shift` see `Producer`."""
        super().__init__()
        self.body, self.decoder, self.cross = body, decoder, cross
        self.shift = shift
        self.prefix = body.table.shape[0]
        self.decoder_prefix = 0 if decoder is None else decoder.table.shape[0]
        self.cross_prefix = 0 if cross is None else cross.table.shape[0]
        self.first_layer = min(body.stack.places)

    def keys_values(self) -> Pairs:
        """For each layer of the body keys and values, each `(K, P, D)`."""
        return self.body.pairs()

    def decoder_keys_values(self) -> Pairs:
        """The same for a decoder's self-attention."""
        return super().decoder_keys_values() if self.decoder is None else self.decoder.pairs()

    def cross_keys_values(self) -> Pairs:
        """The same for its cross-attention."""
        return super().cross_keys_values() if self.cross is None else self.cross.pairs()

    @torch.no_grad()
    def stored(self) -> dict[str, Tensor]:
        """Keys and values as used, `(P, 2 L K D)` a place: perceptrons are dropped."""
        return {name: part.made().detach() for name, part in self._parts().items()}

    def load_stored(self, tensors: dict[str, Tensor]) -> None:
        """Take keys and values as used."""
        for name, part in self._parts().items():
            part.use(tensors[name])

    def _parts(self) -> dict[str, KeysValues]:
        parts = {"table": self.body, "decoder": self.decoder, "cross": self.cross}
        return {name: part for name, part in parts.items() if part is not None}


@torch.no_grad()
def words_keys_values(ids: Sequence[int], context: BuildContext) -> dict[Place, Tensor]:
    """Keys and values that the frozen model itself makes of words, flat, `(len(ids), 2 L K D)` a place, fp32.

    The words stand at positions 0, 1, ... of the body and, where there is one, of the decoder; the cross-attention's
    are made of the encoder's states at the words.

    Raises:
        SoftPromptError: the model has positions for fewer words.
    """
    part = context.anatomy
    if part.absolute and part.max_positions is not None and len(ids) > part.max_positions:
        raise SoftPromptError(
            f"init='words' has the frozen model read {len(ids)} words, but the backbone ({part.family}) has "
            f"{part.max_positions} positions: lower num_virtual_tokens, or leave init out"
        )
    body, decoder = part.body, part.decoder
    row = torch.tensor([list(ids)], device=device_of(body))
    if key_values(part).by_cache:
        with evaluating(body):
            return {"body": _in_a_row(kept_of(body, row))}
    models = [body] if decoder is None else [body, decoder]
    with evaluating(*models), recording(*models) as found:
        states = body(input_ids=row).last_hidden_state
        if decoder is not None and part.decoder_layers:
            decoder(input_ids=row, encoder_hidden_states=states)
    places: dict[Place, Sequence[nn.Module | None]] = {
        "body": part.attentions,
        "decoder": part.decoder_attentions,
        "cross": part.cross_attentions,
    }
    return {
        place: _flat(found, [own for own, heads in zip(places[place], stack.heads, strict=True) if heads is not None])
        for place, stack in stacks(part).items()
    }


def _flat(found: Sequence[Handed], attentions: Sequence[nn.Module | None]) -> Tensor:
    """One table of what a place's attentions recorded, layer by layer: `(P, 2 L K D)`."""
    members = {id(attention) for attention in attentions}
    return _in_a_row((one.keys, one.values) for one in found if id(one.attention) in members)


def _in_a_row(found: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Keys and values `(1, K, P, D)` of each layer side by side, `(P, 2 L K D)`."""
    each = [vectors[0] for pair in found for vectors in pair]
    return torch.cat([one.to(torch.float32).cpu().transpose(0, 1).flatten(1) for one in each], dim=1)
