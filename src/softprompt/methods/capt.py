r"""CaPT, capsule prompt tuning: one vector a layer, trained and instance-aware at once.

Liu et al., "All You Need is One: Capsule Prompt Tuning with a Single Vector", NeurIPS 2025,
<https://arxiv.org/abs/2510.16670>, equations 1 and 2:

    S^1 = p^1 + Mean(E)                          (S_^1, H^1) = L_1([S^1; E])
    S^i = p^i + Mean(S_^{i-1} (+) H^{i-1})       (S_^i, H^i) = L_i([S^i; H^{i-1}]),   i = 2..N

Site `hidden`: slot 0 of every layer's input is overwritten by S^i; the text is never written. From layer 2 on the mean
counts the processed capsule S_^{i-1} too, which is what stands in the slot. Trained and stored: N * d scalars.

Open in the paper, and decided here: the mean skips padding and answer tokens; gradients flow through it
(`stop_gradient` cuts them); p starts at zero, so training starts from the pure instance mean (the paper's training-free
Finding II); the capsule stands before BOS; an encoder-decoder's decoder attends to the final capsule
(`decoder_sees_capsule`); lengths above one repeat the mean,
S^i = P^i + 1 mu^T.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.methods.base import Method, Recipe, Setting
from softprompt.methods.parts import tables
from softprompt.methods.parts.depth import Depth, layers_of
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer, View

Variant = Literal["addition", "prepending", "projection"]


@register
class CaPT(Method):
    """One trained vector a layer plus the mean of the instance (Liu et al., 2025)."""

    name: ClassVar[str] = "capt"
    title: ClassVar[str] = "All You Need is One: Capsule Prompt Tuning with a Single Vector"
    url: ClassVar[str] = "https://arxiv.org/abs/2510.16670"
    site: ClassVar[str] = "hidden"
    evidence: ClassVar[str] = (
        "equations, recipe and tables from the paper's full text; the official code could not be read; what the paper "
        "leaves open is listed on the method's page"
    )
    recipes: ClassVar[dict[str, Recipe]] = {
        "gemma3_text": Recipe(0.5, "measured on Gemma 3 270M, 16 rows a class (docs/defaults.md)"),
        "llama": Recipe(7e-4, "the paper, section S2: searched among 7e-4, 5e-5, 1e-5", optimizer="adafactor"),
        "qwen2": Recipe(5e-3, "the paper, section S2: searched among 1e-1, 5e-3, 5e-4, 1e-5", optimizer="adafactor"),
        "encoder-decoder": Recipe(
            1.0, "the paper, section 4.1: searched among 5, 1, 0.1", optimizer="adafactor", warmup_ratio=0.06
        ),
        "default": Recipe(0.5, "our choice: the value measured on Gemma 3 270M"),
    }

    num_virtual_tokens: int = Field(1, ge=1, description="k, capsules a layer (the paper's length ablation; 1 is best)")
    depth: Depth = Field("all", description="which layers are prompted: all, input, first_half, latter_half, odd")
    variant: Variant = Field("addition", description="addition, prepending (two slots) or projection (paper, table 3)")
    projection_rank: int = Field(16, ge=1, description="rank of variant='projection' (not stated in the paper)")
    stop_gradient: bool = Field(False, description="cut the gradient through the mean")
    decoder_sees_capsule: bool = Field(True, description="encoder-decoder: the decoder attends to the final capsule")
    init_std: float = Field(0.0, ge=0, description="standard deviation of the first values; 0 starts at the mean")

    def build(self, setting: Setting) -> Producer:
        """Make the vectors, shape `(layers, k, H)`, fp32."""
        layers = layers_of(self.depth, setting.anatomy.num_layers)
        hidden = setting.anatomy.hidden_size
        rows = tables.normal((len(layers), self.num_virtual_tokens, hidden), self.init_std, setting)
        down = None
        if self.variant == "projection":
            down = tables.normal((len(layers), hidden, self.projection_rank), hidden**-0.5, setting)
        return Capsules(self, rows, layers, down)


class Capsules(Producer):
    """p^1..p^N, shape `(layers, k, H)`, and the low-rank maps of the projection variant."""

    shift = False

    def __init__(self, options: CaPT, rows: Tensor, layers: tuple[int, ...], down: Tensor | None) -> None:
        super().__init__()
        self.table = nn.Parameter(rows.clone())
        self.down = None if down is None else nn.Parameter(down.clone())
        # A zero up-projection starts at the addition variant's p alone; the first step opens it.
        self.up = None if down is None else nn.Parameter(torch.zeros_like(down).transpose(1, 2).contiguous())
        self.options = options
        self.layers = layers
        self.hidden_layers = frozenset(layers)
        self.count = rows.shape[1] * (2 if options.variant == "prepending" else 1)
        self.visible_to_decoder = options.decoder_sees_capsule

    def rewrite(self, layer: int, view: View) -> Tensor:
        """S^i, shape `(U, k, H)`; with prepending `[mu; p^i]`, shape `(U, 2k, H)`."""
        place = self.layers.index(layer)
        mean = view.mean(with_slots=layer > 0)  # [U, 1, H]
        if self.options.stop_gradient:
            mean = mean.detach()
        own = self.table[place].expand(mean.shape[0], -1, -1)  # [U, k, H]
        if self.options.variant == "prepending":
            return torch.cat([mean.expand_as(own), own], dim=1)
        if self.down is not None and self.up is not None:
            mean = torch.nn.functional.gelu(mean @ self.down[place]) @ self.up[place]
        return own + mean
