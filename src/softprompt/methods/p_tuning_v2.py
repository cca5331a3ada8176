r"""P-Tuning v2: trained keys and values in front of every layer's own.

Liu et al., "P-Tuning v2: Prompt Tuning Can Be Comparable to Fine-tuning Universally Across Scales and Tasks", ACL 2022,
<https://arxiv.org/abs/2110.07602>.

    Attn(Q, [K_P^i; K], [V_P^i; V]),   K_P^i, V_P^i in R^{P x d_kv}, all layers i

Site `attention`. The table is either direct, R^{P x 2 N d_kv}, or re-parametrised (`prefix_projection`):
R^{P x d} -> Linear(d, m) -> tanh -> Linear(m, 2 N d_kv), computed once a forward pass and dropped after training. The
flat vector is viewed as (P, 2N, K, D) and split into N pairs (key, value), as in the official code. Encoders read a
linear head by default, as in the paper; language models a verbalizer. On an encoder-decoder the encoder is prompted.
Stored: 2 N P d_kv scalars (and the head).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.methods.base import Method, Readout, Recipe, Setting
from softprompt.methods.parts import tables
from softprompt.methods.registry import register
from softprompt.sites.anatomy import Kind
from softprompt.sites.producer import Producer


@register
class PTuningV2(Method):
    """Trained keys and values in every layer (Liu et al., 2022)."""

    name: ClassVar[str] = "p_tuning_v2"
    title: ClassVar[str] = "P-Tuning v2: Prompt Tuning Can Be Comparable to Fine-tuning Universally"
    url: ClassVar[str] = "https://arxiv.org/abs/2110.07602"
    site: ClassVar[str] = "attention"
    evidence: ClassVar[str] = "official code and abstract"
    recipes: ClassVar[dict[str, Recipe]] = {
        "gemma3_text": Recipe(0.01, "measured on Gemma 3 270M, SST-2 16-shot (the table in README)"),
        "encoder": Recipe(7e-3, "the official scripts: 5e-3 to 1e-2 on BERT and RoBERTa", epochs=60),
        "default": Recipe(0.01, "our choice: the value measured on Gemma 3 270M"),
    }

    num_virtual_tokens: int = Field(20, ge=1, description="P, keys and values in front of each layer's own")
    prefix_projection: bool = Field(False, description="make them with a two-layer perceptron while training")
    encoder_hidden_size: int = Field(512, ge=1, description="m, the width of that perceptron")
    init_std: float = Field(0.02, ge=0, description="standard deviation of the first values")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout on keys and values (the official code: 0.1)")

    def build(self, setting: Setting) -> Producer:
        """Make the table, `(P, 2 N K D)` direct or `(P, H)` re-parametrised, fp32."""
        return Prefixes(self, setting)

    def readout(self, kind: Kind, *, has_lm_head: bool) -> Readout:
        """A linear head on encoders (the paper), a verbalizer on language models."""
        return "head" if kind == "encoder" else super().readout(kind, has_lm_head=has_lm_head)


class Prefixes(Producer):
    """Keys and values for each layer; `stored` holds them as used, whatever made them."""

    def __init__(self, options: PTuningV2, setting: Setting) -> None:
        super().__init__()
        part = setting.anatomy
        self.prefix = options.num_virtual_tokens
        self.heads, self.head_dim, self.depth = part.num_key_value_heads, part.head_dim, part.num_layers
        flat = 2 * self.depth * self.heads * self.head_dim
        self.dropout = nn.Dropout(options.dropout)
        self.project: nn.Sequential | None = None
        if options.prefix_projection:
            self.table = nn.Parameter(tables.normal((self.prefix, part.hidden_size), options.init_std, setting))
            width = options.encoder_hidden_size
            self.project = nn.Sequential(nn.Linear(part.hidden_size, width), nn.Tanh(), nn.Linear(width, flat))
            for layer in (self.project[0], self.project[2]):
                _draw(layer, setting)
        else:
            self.table = nn.Parameter(tables.normal((self.prefix, flat), options.init_std, setting))

    def keys_values(self) -> list[tuple[Tensor, Tensor]]:
        """For each layer the keys and the values, each `(K, P, D)`."""
        flat = self.dropout(self.table if self.project is None else self.project(self.table))
        pairs = flat.view(self.prefix, 2 * self.depth, self.heads, self.head_dim).permute(1, 2, 0, 3)
        return [(pairs[2 * layer], pairs[2 * layer + 1]) for layer in range(self.depth)]

    @torch.no_grad()
    def stored(self) -> dict[str, Tensor]:
        """Keys and values as used, `(P, 2 N K D)`: the perceptron is dropped."""
        return {"table": (self.table if self.project is None else self.project(self.table)).detach()}

    def load_stored(self, tensors: dict[str, Tensor]) -> None:
        """Take keys and values as used; a perceptron has no more part in them."""
        self.project = None
        self.table = nn.Parameter(tensors["table"].clone())


def _draw(layer: nn.Module, setting: Setting) -> None:
    """Torch's own initialisation of a linear layer, from the setting's generator."""
    assert isinstance(layer, nn.Linear)
    bound = layer.in_features**-0.5
    with torch.no_grad():
        layer.weight.copy_(tables.uniform(layer.weight.shape, bound, setting))
        layer.bias.copy_(tables.uniform(layer.bias.shape, bound, setting))
