"""CaPT and deep prompts written down from the paper's equations, with the model's layers and nothing of the library.

Slots stand at columns 0..k-1 of a right-padded batch; a row's text follows at once, its padding last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

# (layer, slots that enter it or None for layer 1, text, mask of the text) -> S^i, of shape (B, k, H); None leaves the
# slots alone
Rule = Callable[[int, "Tensor | None", Tensor, Tensor], "Tensor | None"]


@dataclass
class ByHand:
    """A model's parts as a loop over its layers needs them: `logits` runs it."""

    model: Any
    ids: Tensor
    mask: Tensor
    slots: int
    decoder_ids: Tensor | None = None
    slots_seen: bool = True  # by an encoder-decoder's decoder
    start: Tensor | None = None  # word embedding of slots that nothing has written, of shape (1, E); zeros by default

    def logits(self, rule: Rule) -> Tensor:
        """Logits at the text (an encoder-decoder's: at `decoder_ids`)."""
        return {"t5": self._t5, "llama": self._llama, "bert": self._bert}[self.model.config.model_type](rule)

    def _masks(self) -> tuple[Tensor, Tensor]:
        wide = torch.cat([torch.ones(len(self.ids), self.slots, dtype=torch.bool), self.mask.bool()], dim=1)
        both_ways = wide[:, None, None, :].expand(-1, 1, wide.shape[1], -1)
        return wide, both_ways

    def _loop(self, rule: Rule, empty: Tensor, text: Tensor, run: Callable[[int, Tensor], Tensor]) -> Tensor:
        states = torch.cat([empty, text], dim=1)
        k = self.slots
        for layer in range(3):
            slots, text = states[:, :k], states[:, k:]
            new = rule(layer, None if layer == 0 else slots, text, self.mask)
            states = run(layer, torch.cat([slots if new is None else new, text], dim=1))
        return states

    def _empty(self, width: int) -> Tensor:
        empty = torch.zeros(len(self.ids), self.slots, width)
        return empty if self.start is None else empty + self.start

    def _t5(self, rule: Rule) -> Tensor:
        model, encoder = self.model, self.model.encoder
        _, allowed = self._masks()
        bias: list[Any] = [None]

        def run(layer: int, states: Tensor) -> Tensor:
            out = encoder.block[layer](states, attention_mask=allowed, position_bias=bias[0])
            bias[0] = out[1]
            return out[0]

        text = model.shared(self.ids)
        states = encoder.final_layer_norm(self._loop(rule, self._empty(text.shape[-1]), text, run))
        seen = torch.cat([torch.full((len(self.ids), self.slots), int(self.slots_seen)), self.mask], dim=1)
        out = model.decoder(
            input_ids=self.decoder_ids, encoder_hidden_states=states, encoder_attention_mask=seen
        ).last_hidden_state
        if model.config.tie_word_embeddings:
            out = out * model.config.d_model**-0.5
        return model.lm_head(out)

    def _llama(self, rule: Rule) -> Tensor:
        body = self.model.model
        wide, allowed = self._masks()
        allowed = allowed & torch.ones(wide.shape[1], wide.shape[1], dtype=torch.bool).tril()
        positions = torch.arange(wide.shape[1])[None]
        text = body.embed_tokens(self.ids)
        angles = body.rotary_emb(text, position_ids=positions)

        def run(layer: int, states: Tensor) -> Tensor:
            return body.layers[layer](
                states, attention_mask=allowed, position_embeddings=angles, position_ids=positions
            )

        states = self._loop(rule, self._empty(text.shape[-1]), text, run)
        return self.model.lm_head(body.norm(states[:, self.slots :]))

    def _bert(self, rule: Rule) -> Tensor:
        body, part = self.model.bert, self.model.bert.embeddings
        _, allowed = self._masks()
        text = part(input_ids=self.ids)  # word, position and segment, then the norm: positions as without a prompt
        nothing = (
            self._empty(text.shape[-1]) + part.position_embeddings.weight[0] + part.token_type_embeddings.weight[0]
        )

        def run(layer: int, states: Tensor) -> Tensor:
            out = body.encoder.layer[layer](states, allowed)
            return out if isinstance(out, Tensor) else out[0]

        states = self._loop(rule, part.LayerNorm(nothing), text, run)
        return self.model.cls(states[:, self.slots :])


def neutral(model: Any) -> Tensor:
    """What a method over layers has in its slots where nothing has written yet: the mean word embedding, `(1, E)`."""
    embedding = model.get_input_embeddings()
    return embedding(torch.arange(min(5000, embedding.weight.shape[0]))).detach().mean(0, keepdim=True)


def mean(slots: Tensor | None, text: Tensor, mask: Tensor) -> Tensor:
    """Mean(E) in layer 1, Mean(S (+) H) from layer 2 on: `(B, 1, H)`, of seen tokens only."""
    total = (text * mask[..., None]).sum(1, keepdim=True)
    count = mask.sum(1)[:, None, None].to(text.dtype)
    if slots is None:
        return total / count
    return (total + slots.sum(1, keepdim=True)) / (count + slots.shape[1])
