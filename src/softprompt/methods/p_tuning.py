r"""P-Tuning (v1): virtual tokens anywhere in a template, made by an LSTM or a perceptron while they are trained.

Liu et al., "GPT Understands, Too", 2021, <https://arxiv.org/abs/2103.10385>.

    T = {[P_0..P_i], x, [P_{i+1}..P_m], y}:   h_0..h_i, e(x), h_{i+1}..h_m, e(y)
    h = MLP(BiLSTM(V))  or  MLP(V),   V in R^{P x e}

Site `stream`: the task's template says where the virtual tokens stand, as in `{prompt:3} {text} ? {prompt:3} {mask}`;
words between them are anchors. The encoder's sizes, from the official code:

    lstm            two layers, e/2 a direction; MLP e -> e, ReLU, e -> e   (LAMA, knowledge probing)
    lstm_few_shot   two layers, e a direction; MLP 2e -> e, ReLU, e -> e    (few-shot SuperGLUE)
    mlp             MLP e -> e, ReLU, e -> e                                (few-shot SuperGLUE)

V ~ N(0, 1), the rest torch's own initialisation. The encoder is dropped after training: stored are the P e scalars h.
On SuperGLUE the authors train the backbone as well, at a rate of its own: `train_backbone`, which stores its weights.

Decided here: the "mlp" branch of the code keeps a batch axis that misplaces more than one token; here every row passes
the perceptron. An odd e gives an LSTM of (e - 1)/2 a direction. On an encoder-decoder the slots stand in the encoder's
text. A template without places puts them where `placement` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.methods.base import BuildContext, Method, Needs, Recipe
from softprompt.methods.baselines import Weights
from softprompt.methods.parts import tables
from softprompt.methods.parts.encoders import BiLSTM, MadeTable, blank_table, perceptron
from softprompt.methods.registry import register
from softprompt.sites.layout import Placement
from softprompt.sites.producer import Producer, StandIn


@register
class PTuning(Method):
    """Encoded virtual tokens anywhere in a template (Liu et al., 2021)."""

    name: ClassVar[str] = "p_tuning"
    title: ClassVar[str] = "GPT Understands, Too"
    url: ClassVar[str] = "https://arxiv.org/abs/2103.10385"
    site: ClassVar[str] = "stream"
    evidence: ClassVar[str] = "official code, and notes on the paper"
    needs: ClassVar[Needs] = {"backbone_rate": ("train_backbone", True)}
    recipes: ClassVar[dict[str, Recipe]] = {
        "albert": Recipe(
            1e-4,
            "the official few-shot scripts (which train the backbone, too)",
            warmup_ratio=0.1,
            weight_decay=0.1,
            measured_on=("albert",),
        ),
        "default": Recipe(
            1e-3, "our choice: between the official 1e-5 to 1e-4, made for longer runs, and a table's", measured_on=()
        ),
    }

    num_virtual_tokens: int = Field(9, ge=1, description="P, the virtual tokens of all places (LAMA: three times 3)")
    encoder: Literal["lstm", "lstm_few_shot", "mlp"] = Field("lstm", description="what makes them while training")
    placement: Placement = Field("front", description="where they stand if the template has no places")
    train_backbone: bool = Field(False, description="train the backbone's weights too, and store them")
    backbone_rate: float = Field(
        0.1, gt=0, description="the backbone's learning rate as a multiple of the prompt's (official: 1e-5 over 1e-4)"
    )

    def build(self, context: BuildContext) -> Producer:
        """Make V `(P, E)` and its encoder, fp32."""
        if context.blank:
            made = blank_table(self.num_virtual_tokens, self.placement, context)
        else:
            table = tables.normal((self.num_virtual_tokens, context.anatomy.embedding_size), 1.0, context)
            made = MadeTable(table, self._encoder(context), self.placement)
        return WithBackbone(made, self.backbone_rate) if self.train_backbone else made

    def _encoder(self, context: BuildContext) -> nn.Module:
        width = context.anatomy.embedding_size
        if self.encoder == "mlp":
            return perceptron(width, width, width, nn.ReLU(), context)
        half = width if self.encoder == "lstm_few_shot" else width // 2
        lstm = BiLSTM(width, half, 2, context)
        return nn.Sequential(lstm, perceptron(2 * half, width, width, nn.ReLU(), context))


class WithBackbone(MadeTable):
    """A prompt and trainable copies of the backbone's weights, which stand in the model while it is attached."""

    static = False

    def __init__(self, made: MadeTable, rate: float) -> None:
        """Take a prompt's table and net over."""
        super().__init__(made.table.detach(), made.net, made.placement)
        self.backbone = Weights(train_embeddings=True)
        self.rate = rate

    def stand_ins(self, model: nn.Module) -> Mapping[nn.Module, StandIn]:
        """The copies in the model's places."""
        return self.backbone.stand_ins(model)

    def rates(self) -> dict[str, float]:
        """The backbone's weights follow a rate of their own."""
        return {name: self.rate for name, _ in self.named_parameters() if name.startswith("backbone.")}

    @torch.no_grad()
    def stored(self) -> dict[str, Tensor]:
        """The embeddings as used, `(P, E)`, and the backbone's weights."""
        return {**super().stored(), **{f"backbone.{name}": value for name, value in self.backbone.stored().items()}}

    @torch.no_grad()
    def stored_in(self, model: nn.Module) -> dict[str, Tensor]:
        """With the weights of the model."""
        own = self.backbone.stored_in(model)
        return {**super().stored(), **{f"backbone.{name}": value for name, value in own.items()}}

    def load_stored(self, tensors: dict[str, Tensor]) -> None:
        """Take what `stored` gave."""
        super().load_stored(tensors)
        own = {name: value for name, value in tensors.items() if name.startswith("backbone.")}
        self.backbone.load_stored({name.removeprefix("backbone."): value for name, value in own.items()})
