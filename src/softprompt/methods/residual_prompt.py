r"""Residual Prompt Tuning: a table of virtual tokens behind a residual perceptron that is dropped after training.

Razdaibiedina et al., "Residual Prompt Tuning: Improving Prompt Tuning with Residual Reparameterization", Findings of
ACL 2023, <https://arxiv.org/abs/2305.03937>.

    P' = P + phi(P),   phi = Linear(e, m) -> ReLU -> Linear(m, e) [-> dropout] [-> LayerNorm],   P in R^{k x e}

Site `stream`, as Prompt Tuning with the rows of P'. One phi serves all rows (`shared`), or each row has its own.
Trained: k e + 2 e m + m + e, and 2 e more with the norm; stored: P', k e scalars.

From the official code: m = 800, k = 10, the norm on, no dropout, one phi, rows from the vocabulary, a learning rate of
phi's own as an option (`net_rate` here). Decided here: rows come from the frequent words that Lester et al. sample
among, not from the whole vocabulary. The code's second form "MLP2" repeats the same layer objects and is left out.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.methods.base import BuildContext, Recipe
from softprompt.methods.parts.encoders import MadeTable, blank_table, perceptron
from softprompt.methods.prompt_tuning import PromptTuning
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer


@register
class ResidualPrompt(PromptTuning):
    """Prompt Tuning through a residual perceptron (Razdaibiedina et al., 2023)."""

    name: ClassVar[str] = "residual_prompt"
    title: ClassVar[str] = "Residual Prompt Tuning: Improving Prompt Tuning with Residual Reparameterization"
    url: ClassVar[str] = "https://arxiv.org/abs/2305.03937"
    site: ClassVar[str] = "stream"
    evidence: ClassVar[str] = "official code"
    recipes: ClassVar[dict[str, Recipe]] = {
        "encoder-decoder": Recipe(
            0.3,
            "the official code on T5: AdamW, no schedule",
            schedule="constant",
            weight_decay=1e-5,
            batch_size=8,
            measured_on=("t5",),
        ),
        "default": Recipe(0.03, "our choice: Prompt Tuning's, which was measured on Gemma 3 270M", measured_on=()),
    }

    num_virtual_tokens: int = Field(10, ge=1, description="k, the number of virtual tokens")
    bottleneck: int = Field(800, ge=1, description="m, the width of the perceptron")
    shared: bool = Field(True, description="one perceptron for all rows; else one a row")
    layer_norm: bool = Field(True, description="a LayerNorm at the perceptron's end")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout behind the perceptron, before that norm")
    net_rate: float = Field(1.0, gt=0, description="the perceptron's learning rate as a multiple of the table's")

    def build(self, context: BuildContext) -> Producer:
        """Make the table `(k, E)` and the perceptron, fp32."""
        if context.blank:
            return blank_table(self.num_virtual_tokens, self.placement, context)
        rows = self._rows(context)
        nets = [self._net(context) for _ in range(1 if self.shared else self.num_virtual_tokens)]
        return MadeTable(rows, Residual(nets), self.placement, net_rate=self.net_rate)

    def _net(self, context: BuildContext) -> nn.Sequential:
        width = context.anatomy.embedding_size
        net = perceptron(width, self.bottleneck, width, nn.ReLU(), context)
        if self.dropout:
            net.append(nn.Dropout(self.dropout))
        if self.layer_norm:
            net.append(nn.LayerNorm(width))
        return net


class Residual(nn.Module):
    """`P + phi(P)` for rows `(k, E)`, with one phi for all rows or one a row."""

    def __init__(self, nets: list[nn.Sequential]) -> None:
        """See the class."""
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, rows: Tensor) -> Tensor:
        """The rows after the residual perceptron, `(k, E)`."""
        if len(self.nets) == 1:
            made: Tensor = self.nets[0](rows)
        else:
            made = torch.cat([net(row) for net, row in zip(self.nets, rows.split(1), strict=True)])
        return rows + made
