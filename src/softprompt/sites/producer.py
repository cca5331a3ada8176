"""What the sites ask of a prompt: vectors, at one site or several.

A method builds a `Producer`; the sites know nothing else of it. Letters: U units (a row, or a document of a packed
row), P virtual tokens, T columns, E embedding width, H hidden width, K key-value heads, D head size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from softprompt.errors import SoftPromptError
from softprompt.sites.asking import Around
from softprompt.sites.footprint import PARTS, Footprint
from softprompt.sites.layout import Group, Placement


@dataclass(frozen=True)
class View:
    """What a producer sees of a batch: its own units only.

    Attributes:
        states: the states that enter this place, shape `(U, T, H)` (or E at the site `stream`).
        slots: the columns of the virtual tokens, shape `(U, P)`.
        text: columns that may condition the prompt, bool, shape `(U, T)`: no padding, no virtual token, no answer.
    """

    states: Tensor
    slots: Tensor
    text: Tensor

    @property
    def at_slots(self) -> Tensor:
        """The states at the virtual tokens, shape `(U, P, H)`."""
        index = self.slots[..., None].expand(-1, -1, self.states.shape[-1])
        return self.states.gather(1, index)

    def mean(self, *, with_slots: bool = False) -> Tensor:
        """Mean over the conditioning text, in fp32, shape `(U, 1, H)`; zero where there is none.

        Args:
            with_slots: count the states at the virtual tokens too.

        Example:
            >>> text = torch.tensor([[True, True, False]])
            >>> sp.View(torch.arange(3.0).view(1, 3, 1), torch.tensor([[2]]), text).mean()
            tensor([[[0.5000]]])
        """
        weight = self.text.to(torch.float32)
        if with_slots:
            weight = weight.scatter(1, self.slots, 1.0)
        total = torch.einsum("ut,uth->uh", weight, self.states.to(torch.float32))
        return (total / weight.sum(-1, keepdim=True).clamp(min=1.0))[:, None]


@dataclass(frozen=True)
class StandIn:
    """What works in the place of a module's own, in the calls of the attached model alone.

    Attributes:
        tensors: by the name of the module's parameter; they are read in that parameter's precision.
        layer: works around the module's call (see `sites/asking.py`); None for the module's own.
    """

    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    layer: Around | None = None


class Producer(nn.Module):
    """A prompt: the trained parameters of one method and the vectors it makes of them.

    Sub-classes set what they occupy, as attributes of their class or their instances that have the names of
    `Footprint`'s and mean what it says, and override what their site needs.
    """

    count: int = 0
    placement: Placement = "front"
    prefix: int = 0
    decoder_prefix: int = 0
    cross_prefix: int = 0
    shift: bool = True
    hidden_layers: frozenset[int] = frozenset()
    first_layer: int = 0
    visible_to_decoder: bool = True
    static: bool = False
    around: tuple[int, ...] = ()
    pool: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def footprint(self) -> Footprint:
        """What the prompt occupies, made of the attributes of the same names; nothing else is asked for them."""
        return Footprint(**{name: getattr(self, name) for name in PARTS})

    @property
    def joins(self) -> bool:
        """Whether there are keys and values at any place of the site `attention`."""
        return self.footprint.joins

    def embed(self, view: View) -> Tensor | None:
        """Site `stream`: embeddings of the virtual tokens, `(P, E)` or `(U, P, E)`; None stands for zeros."""
        return None

    def shift_text(self, view: View) -> Tensor | None:
        """Site `stream`: what is added to the text's embeddings, `(U, T, E)`, zero outside `view.text`; None for none.

        In a decoding step nothing is added: tokens that `generate` made are no conditioning text.
        """
        return None

    def rewrite(self, layer: int, view: View) -> Tensor:
        """Site `hidden`: the states that enter `layer` at the virtual tokens, `(P, H)` or `(U, P, H)`."""
        raise TypeError(f"{type(self).__name__} has no vectors for the site 'hidden'")

    def keys_values(self) -> list[tuple[Tensor, Tensor]]:
        """Site `attention`: for each layer the keys and the values, each `(K, P, D)`, or `(K, 0, D)` for none."""
        raise TypeError(f"{type(self).__name__} has no vectors for the site 'attention'")

    def prefix_values(self) -> Tensor | None:
        """Site `attention`: v of each layer, `(L,)`, where its attention is v with plus 1 - v without; None for 1."""
        return None

    def decoder_keys_values(self) -> list[tuple[Tensor, Tensor]]:
        """As `keys_values`, for each layer of an encoder-decoder's decoder; needed where `decoder_prefix` is set."""
        raise TypeError(f"{type(self).__name__} has no vectors for a decoder's self-attention")

    def cross_keys_values(self) -> list[tuple[Tensor, Tensor]]:
        """As `decoder_keys_values`, for its cross-attention; needed where `cross_prefix` is set."""
        raise TypeError(f"{type(self).__name__} has no vectors for a decoder's cross-attention")

    def rates(self) -> dict[str, float]:
        """Learning rates of single parameters, by name, as multiples of the prompt's; 1 for those not named."""
        return {}

    def penalty(self) -> Tensor | None:
        """A term added to the training loss, a scalar; None for none."""
        return None

    def stand_ins(self, model: nn.Module) -> Mapping[nn.Module, StandIn]:
        """Weight-side methods: what stands in for the model's own during a call. Prompts have nothing to do here."""
        return {}

    @torch.no_grad()
    def stored(self) -> dict[str, Tensor]:
        """The tensors that inference needs, by name: what a prompt file holds."""
        return {name: value.detach() for name, value in self.state_dict().items()}

    def stored_in(self, model: nn.Module) -> dict[str, Tensor]:
        """What `stored` gives after a training on `model`, to be read for types and shapes alone."""
        return self.stored()

    def load_stored(self, tensors: dict[str, Tensor]) -> None:
        """Take tensors that `stored` gave."""
        self.load_state_dict(tensors)


def view_of(states: Tensor, group: Group) -> View:
    """The part of a batch's states `(B, T, H)` that belongs to one group's units: of those that lie apart their own.

    A model that pads inside itself, as to a multiple of its window, has more columns, behind those of the batch.

    Raises:
        SoftPromptError: it has fewer, since its layers pool them, so that nobody knows where the virtual tokens are.
    """
    if group.apart is not None:
        return View(group.apart.apart(states[0]), group.slots - group.apart.begins[:, None], group.text)
    text, behind = group.text, states.shape[1] - group.text.shape[1]
    if behind < 0:
        raise SoftPromptError(
            f"a layer of the backbone works on {states.shape[1]} columns of {text.shape[1]}, among which virtual "
            "tokens have no place: take a method of the site 'stream', such as prompt_tuning"
        )
    text = nn.functional.pad(text, (0, behind)) if behind else text
    return View(states if group.rows is None else states[group.rows], group.slots, text)


def write_vectors(states: Tensor, written: Sequence[tuple[Group, Tensor]]) -> Tensor:
    """States `(B, T, H)` with vectors (`(P, H)` or `(U, P, H)`) at each group's virtual tokens, out of place.

    However many prompts there are, the states are copied once.
    """
    if not written:
        return states
    each = [_each(states, group, vectors) for group, vectors in written]
    if len(written) == 1:
        (group, _), vectors = written[0], each[0]
        if group.rows is None:
            return states.scatter(1, group.slots[..., None].expand_as(vectors), vectors)
        return states.index_put((group.rows[:, None], group.slots), vectors)
    rows = torch.cat([_rows(group)[:, None].expand_as(group.slots).reshape(-1) for group, _ in written])
    columns = torch.cat([group.slots.reshape(-1) for group, _ in written])
    return states.index_put((rows, columns), torch.cat([one.reshape(-1, states.shape[-1]) for one in each]))


def _each(states: Tensor, group: Group, vectors: Tensor) -> Tensor:
    """Vectors of every unit, `(U, P, H)`."""
    return vectors.to(states.dtype).expand(*group.slots.shape, states.shape[-1])


def _rows(group: Group) -> Tensor:
    """The row of each unit, `(U,)`."""
    slots = group.slots
    return torch.arange(slots.shape[0], device=slots.device) if group.rows is None else group.rows


def add_vectors(states: Tensor, group: Group, change: Tensor) -> Tensor:
    """States `(B, T, H)` plus one group's `change`, `(U, T, H)`, or of its own columns, `(U, W, H)`; out of place."""
    change, own = change.to(states.dtype), group.apart
    if own is not None:
        behind = states.shape[1] - own.first - own.width
        return states + nn.functional.pad(own.together(change), (0, 0, own.first, behind))
    return states + change if group.rows is None else states.index_add(0, group.rows, change)
