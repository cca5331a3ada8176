"""Controls that the paper lacks: what would another vector in the slots draw, and what goes on without the slots?

`random`: in each slot, before each layer, a vector of a random direction as long as the one that stands there; keys and
values in front likewise. `removed`: the backbone with the task's template alone. Beside them stands the first token of
each text, on which attention rests anyway (Xiao et al., "Efficient Streaming Language Models with Attention Sinks",
ICLR 2024, <https://arxiv.org/abs/2309.17453>): an anchor that is no more than a sink gets what that one loses.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from softprompt.attached.attach import build
from softprompt.methods.registry import method
from softprompt.readouts import Readout
from softprompt.readouts.build import rebuilt
from softprompt.sites.producer import Producer, View
from softprompt.sites.wrapped import WrappedProducer
from softprompt.storage.prompt import Prompt

Pairs = list[tuple[Tensor, Tensor]]


class RandomDirections(WrappedProducer):
    """A prompt whose vectors have random directions, each place its own, the same for every row; lengths stay.

    Args:
        own: the prompt.
        seed: of the directions.
    """

    def __init__(self, own: Producer, seed: int) -> None:
        """See the class."""
        super().__init__(own)
        self.seed = seed

    def embed(self, view: View) -> Tensor | None:
        """The virtual tokens' embeddings, `(P, E)` or `(U, P, E)`."""
        made = self.inner.embed(view)
        return None if made is None else self._turned(made, made.shape[-2:], 0)

    def rewrite(self, layer: int, view: View) -> Tensor:
        """The states that enter a layer at the virtual tokens, `(P, H)` or `(U, P, H)`."""
        made = self.inner.rewrite(layer, view)
        return self._turned(made, made.shape[-2:], 1 + layer)

    def keys_values(self) -> Pairs:
        """Of each layer, each `(K, P, D)`."""
        return self._pairs(self.inner.keys_values(), 1)

    def decoder_keys_values(self) -> Pairs:
        """Likewise in a decoder."""
        return self._pairs(self.inner.decoder_keys_values(), 2)

    def cross_keys_values(self) -> Pairs:
        """Likewise in its cross-attention."""
        return self._pairs(self.inner.cross_keys_values(), 3)

    def _pairs(self, pairs: Pairs, place: int) -> Pairs:
        start = 10_000 * place
        return [
            (
                self._turned(keys, keys.shape, start + 2 * layer),
                self._turned(values, values.shape, start + 2 * layer + 1),
            )
            for layer, (keys, values) in enumerate(pairs)
        ]

    def _turned(self, vectors: Tensor, shape: torch.Size, place: int) -> Tensor:
        """Vectors of the same lengths, their directions drawn in a shape that all rows of a batch share."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + place)
        drawn = torch.randn(shape, generator=generator).to(vectors)
        lengths: Tensor = vectors.norm(dim=-1, keepdim=True)
        return lengths * normalize(drawn, dim=-1)


def with_random_directions(prompt: Prompt, seed: int) -> tuple[Producer, Readout]:
    """A prompt of random directions, and the prompt's own readout."""
    _, readout = prompt.asked()
    return RandomDirections(prompt.producer, seed), readout


def without_prompt(prompt: Prompt) -> tuple[Producer, Readout]:
    """No prompt, and a readout whose rows have the task's template alone."""
    task, readout = prompt.asked()
    assert prompt.readout_spec is not None
    none = build(prompt.backbone, method("hard_prompt"))
    return none, rebuilt(readout, task, prompt.backbone, none, prompt.readout_spec)
