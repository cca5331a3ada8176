"""Keys and values for whole stacks of layers: a table of them, or a perceptron that makes it and is dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.resting import device_of
from softprompt.methods.base import BuildContext
from softprompt.sites.attention import Pairs, Place, recording
from softprompt.sites.modes import evaluating
from softprompt.sites.producer import Producer


@dataclass(frozen=True)
class Stack:
    """The attentions of one place.

    Attributes:
        layers: L, how many there are.
        heads: K, key-value heads of each.
        head_dim: D of each.
        chosen: the places among them that have a prefix, ascending; None for all.
    """

    layers: int
    heads: int
    head_dim: int
    chosen: tuple[int, ...] | None = None

    @property
    def places(self) -> tuple[int, ...]:
        """The places that have a prefix."""
        return tuple(range(self.layers)) if self.chosen is None else self.chosen

    @property
    def flat(self) -> int:
        """Scalars of one prefix position: a key and a value a chosen layer, 2 L K D."""
        return 2 * len(self.places) * self.heads * self.head_dim


def stacks(anatomy: Anatomy) -> dict[Place, Stack]:
    """The places of a backbone: its body's self-attention; an encoder-decoder's decoder has two more."""
    found: dict[Place, Stack] = {"body": Stack(anatomy.num_layers, anatomy.num_key_value_heads, anatomy.head_dim)}
    if anatomy.decoder_layers:
        inner = Stack(len(anatomy.decoder_layers), anatomy.decoder_key_value_heads, anatomy.decoder_head_dim)
        found |= {"decoder": inner, "cross": inner}
    return found


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
        stack, chosen = self.stack, self.stack.places
        seen = self.dropout(self.made()).view(-1, 2 * len(chosen), stack.heads, stack.head_dim).permute(1, 2, 0, 3)
        pairs = [(seen.new_zeros(stack.heads, 0, stack.head_dim),) * 2] * stack.layers
        for place, layer in enumerate(chosen):
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
    """
    part = context.anatomy
    body, decoder = part.body, part.decoder
    row = torch.tensor([list(ids)], device=device_of(body))
    models = [body] if decoder is None else [body, decoder]
    with evaluating(*models), recording(*models) as found:
        states = body(input_ids=row).last_hidden_state
        if decoder is not None and part.decoder_layers:
            decoder(input_ids=row, encoder_hidden_states=states)
    places: dict[Place, Sequence[nn.Module]] = {
        "body": part.attentions,
        "decoder": part.decoder_attentions,
        "cross": part.cross_attentions,
    }
    return {place: _flat(found, attentions) for place, attentions in places.items() if attentions}


def _flat(found: Sequence[tuple[nn.Module, Tensor, Tensor]], attentions: Sequence[nn.Module]) -> Tensor:
    """One table of what a place's attentions recorded, layer by layer: `(P, 2 L K D)`."""
    members = {id(attention) for attention in attentions}
    each = [vectors[0] for attention, *pair in found if id(attention) in members for vectors in pair]
    return torch.stack(each).to(torch.float32).cpu().permute(2, 0, 1, 3).flatten(1)
