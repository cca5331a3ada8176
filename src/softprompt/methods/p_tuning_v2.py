r"""P-Tuning v2: trained keys and values in front of every layer's own.

Liu et al., "P-Tuning v2: Prompt Tuning Can Be Comparable to Fine-tuning Universally Across Scales and Tasks", ACL 2022,
<https://arxiv.org/abs/2110.07602>.

    Attn(Q, [K_P^i; K], [V_P^i; V]),   K_P^i, V_P^i in R^{P x d_kv}, all layers i

Site `attention`. The table is either direct, R^{P x 2 N d_kv}, or re-parametrised (`prefix_projection`):
R^{P x d} -> Linear(d, m) -> tanh -> Linear(m, 2 N d_kv), computed once a forward pass and dropped after training. The
flat vector is viewed as (P, 2N, K, D) and split into N pairs (key, value), as in the official code, which hands them
over as `past_key_values`: where a decoder makes something of its past's values besides (DiffLlama's halves, Doge's
mask), it makes that of these, too. On an encoder-decoder the encoder is prompted. Stored: 2 N P d_kv scalars (and the
head); with `select` (ours) N counts the chosen layers.

Encoders read a linear head on the last state of [CLS] by default, as in the paper; language models a verbalizer. The
official code puts the encoder's pooler in between, which stays frozen, and random where a checkpoint has none
(RoBERTa's); here the head reads the state itself.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import nn

from softprompt.backbones.anatomy import BackboneKind
from softprompt.backbones.heads import Pooling, ReadoutName
from softprompt.methods.base import BuildContext, Needs, Recipe
from softprompt.methods.parts import tables
from softprompt.methods.parts.encoders import perceptron
from softprompt.methods.parts.layers import OverLayers
from softprompt.methods.parts.prefixes import KeysValues, Prefixes, chosen_of, stacks
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer


@register
class PTuningV2(OverLayers):
    """Trained keys and values in every layer (Liu et al., 2022)."""

    name: ClassVar[str] = "p_tuning_v2"
    title: ClassVar[str] = "P-Tuning v2: Prompt Tuning Can Be Comparable to Fine-tuning Universally"
    url: ClassVar[str] = "https://arxiv.org/abs/2110.07602"
    site: ClassVar[str] = "attention"
    evidence: ClassVar[str] = "official code and abstract"
    needs: ClassVar[Needs] = {**OverLayers.needs, "encoder_hidden_size": ("prefix_projection", True)}
    recipes: ClassVar[dict[str, Recipe]] = {
        "gemma3_text": Recipe(
            0.01, "measured on Gemma 3 270M, SST-2 16-shot (the table in README)", measured_on=("gemma3_text",)
        ),
        "encoder": Recipe(
            7e-3, "the official scripts: 5e-3 to 1e-2 on BERT and RoBERTa", epochs=60, measured_on=("bert", "roberta")
        ),
        "default": Recipe(0.01, "our choice: the value measured on Gemma 3 270M", measured_on=()),
    }

    num_virtual_tokens: int = Field(20, ge=1, description="P, keys and values in front of each layer's own")
    prefix_projection: bool = Field(False, description="make them with a two-layer perceptron while training")
    encoder_hidden_size: int = Field(512, ge=1, description="m, the width of that perceptron")
    init_std: float = Field(0.02, ge=0, description="standard deviation of the first values")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout on keys and values (the official code: 0.1)")

    def build(self, context: BuildContext) -> Producer:
        """Make the table, `(P, 2 N K D)` direct or `(P, H)` re-parametrised, fp32."""
        width = context.anatomy.hidden_size
        stack = chosen_of(self.selection, stacks(context.anatomy)["body"])
        made = self.prefix_projection and not context.blank
        shape = (self.num_virtual_tokens, width if made else stack.flat)
        table = tables.normal(shape, self.init_std, context)
        net = perceptron(width, self.encoder_hidden_size, stack.flat, nn.Tanh(), context) if made else None
        return Prefixes(KeysValues(stack, table, net, self.dropout))

    def readout(self, kind: BackboneKind, *, has_lm_head: bool) -> ReadoutName:
        """A linear head on encoders (the paper), a verbalizer on language models."""
        return "head" if kind == "encoder" else super().readout(kind, has_lm_head=has_lm_head)

    def pooling(self, kind: BackboneKind) -> Pooling | None:
        """The first token, [CLS], on encoders (the paper)."""
        return "first" if kind == "encoder" else None
