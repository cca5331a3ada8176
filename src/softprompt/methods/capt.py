r"""CaPT, capsule prompt tuning: one vector a layer, trained and instance-aware at once.

Liu et al., "All You Need is One: Capsule Prompt Tuning with a Single Vector", NeurIPS 2025,
<https://arxiv.org/abs/2510.16670>, equations 1 and 2:

    S^1 = p^1 + Mean(E)                          (S_^1, H^1) = L_1([S^1; E])
    S^i = p^i + Mean(S_^{i-1} (+) H^{i-1})       (S_^i, H^i) = L_i([S^i; H^{i-1}]),   i = 2..N

Site `hidden`: slot 0 of every layer's input is overwritten by S^i; the text is never written. From layer 2 on the mean
counts the processed capsule S_^{i-1} too, which is what stands in the slot. Trained and stored: N * d scalars.

Open in the paper, and decided here: the mean skips padding and answer tokens; gradients flow through it
(`stop_gradient` cuts them); p starts at zero, so training starts from the pure instance mean (the paper's Insta-only-1,
which trains nothing); the capsule stands before BOS; an encoder-decoder's decoder attends to the final capsule
(`decoder_sees_capsule`); lengths above one repeat the mean, S^i = P^i + 1 mu^T.

Variants (the paper's table 3). Prepending: two slots, [mu; p^i]. Projection: mu becomes W_up gelu(W_down mu).
Extraction, "a trainable 1-D convolution" in the place of the mean, of which the paper says no more: here the text's
states x_j become x_j + gelu(b + sum_t w_t * x_{j+t}) before the mean, with a weight for each dimension and each of
`kernel_size` neighbours. Weights and b start at zero, and so the variant where addition starts.

Ours and in no paper: `residual_width=m` makes the vectors as p + phi(p), phi = Linear(d, m) -> ReLU -> Linear(m, d),
one phi for all layers, after Residual Prompt Tuning (<https://arxiv.org/abs/2305.03937>); its last map starts at zero,
so training starts as without it, and the vectors made are stored. And `select=learned:K` lets SPT's search say which
layers have a capsule.

On Llama and Qwen2 the paper trains a classification head, which its rates there are for: the preset `capt-paper`. The
default reads label words on every language model, at the rate that was measured with them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.backbones.anatomy import BackboneKind
from softprompt.methods.base import BuildContext, Needs, Recipe
from softprompt.methods.parts import tables
from softprompt.methods.parts.encoders import perceptron
from softprompt.methods.parts.layers import LayerPrompt, OverLayers
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer, View

Variant = Literal["addition", "prepending", "projection", "extraction"]


@register
class CaPT(OverLayers):
    """One trained vector a layer plus the mean of the instance (Liu et al., 2025)."""

    name: ClassVar[str] = "capt"
    title: ClassVar[str] = "All You Need is One: Capsule Prompt Tuning with a Single Vector"
    url: ClassVar[str] = "https://arxiv.org/abs/2510.16670"
    site: ClassVar[str] = "hidden"
    evidence: ClassVar[str] = (
        "equations, recipe and tables from the paper's full text; the official code could not be read; what the paper "
        "leaves open is listed on the method's page"
    )
    needs: ClassVar[Needs] = {
        **OverLayers.needs,
        "projection_rank": ("variant", ("projection",)),
        "kernel_size": ("variant", ("extraction",)),
    }
    recipes: ClassVar[dict[str, Recipe]] = {
        "gemma3_text": Recipe(
            0.5, "measured on Gemma 3 270M, 16 rows a class (docs/defaults.md)", measured_on=("gemma3_text",)
        ),
        "encoder-decoder": Recipe(
            1.0,
            "the paper, section 4.1: searched among 5, 1, 0.1",
            optimizer="adafactor",
            warmup_ratio=0.06,
            measured_on=("t5",),
        ),
        "encoder": Recipe(
            0.03, "measured on MiniLM: 0.003 to 0.5, 16 rows a class (docs/defaults.md)", measured_on=("bert",)
        ),
        "default": Recipe(0.5, "our choice: the value measured on Gemma 3 270M", measured_on=()),
    }

    num_virtual_tokens: int = Field(1, ge=1, description="k, capsules a layer (the paper's length ablation; 1 is best)")
    variant: Variant = Field(
        "addition", description="addition, prepending (two slots), projection or extraction (paper, table 3)"
    )
    projection_rank: int = Field(16, ge=1, description="rank of variant='projection' (not stated in the paper)")
    kernel_size: int = Field(5, ge=1, description="tokens that variant='extraction' reads at once (not stated either)")
    stop_gradient: bool = Field(False, description="cut the gradient through the mean")
    decoder_sees_capsule: bool = Field(True, description="encoder-decoder: the decoder attends to the final capsule")
    init_std: float = Field(0.0, ge=0, description="standard deviation of the first values; 0 starts at the mean")
    residual_width: int = Field(0, ge=0, description="m, make the vectors as p + phi(p) while training; 0 does not")

    def recipe(self, family: str, kind: BackboneKind) -> Recipe:
        """The family's; the projection of a causal model, which diverges at the rate of addition, has a tenth of it."""
        found = super().recipe(family, kind)
        if self.variant != "projection" or kind != "causal":
            return found
        source = "our choice for the projection, which diverged at 0.5 on Gemma 3 270M (docs/methods/capt.md)"
        return replace(found, learning_rate=found.learning_rate / 10, source=source)

    def build(self, context: BuildContext) -> Producer:
        """Make the vectors, shape `(layers, k, H)`, fp32."""
        return Capsules(self, self.selection.of(context.anatomy.num_layers), context)


class Capsules(LayerPrompt):
    """p^1..p^N, shape `(layers, k, H)`, the maps of a variant, and what is dropped when stored.

    Attributes:
        layers: the prompted layers, one for each of the table's rows.
        maps: the names of the variant's parameters.
        net: phi of the residual re-parametrisation; None once the vectors are made.
    """

    def __init__(self, options: CaPT, layers: tuple[int, ...], context: BuildContext) -> None:
        super().__init__(layers, context)
        hidden = context.anatomy.hidden_size
        rows = tables.normal((len(layers), options.num_virtual_tokens, hidden), options.init_std, context)
        self.table = nn.Parameter(rows)
        maps = _maps(options, len(layers), context)
        for name, value in maps.items():
            self.register_parameter(name, nn.Parameter(value))
        self.maps = tuple(maps)
        self.net = _residual(options.residual_width, context) if options.residual_width and not context.blank else None
        self.options = options
        self.count = options.num_virtual_tokens * (2 if options.variant == "prepending" else 1)
        self.visible_to_decoder = options.decoder_sees_capsule

    def rewrite(self, layer: int, view: View) -> Tensor:
        """S^i, shape `(U, k, H)`; with prepending `[mu; p^i]`, shape `(U, 2k, H)`."""
        place, mean = self.layers.index(layer), view.mean(with_slots=layer > 0)
        if self.options.variant == "extraction":
            counted = view.text.sum(-1)[:, None, None] + self.count * (layer > 0)
            mean = mean + self._extracted(place, view) / counted.clamp(min=1)
        return self._capsule(place, mean)

    @torch.no_grad()
    def stored(self) -> dict[str, Tensor]:
        """The vectors as used, and the maps."""
        return {"table": self._rows().detach(), **{name: self.get_parameter(name).detach() for name in self.maps}}

    def load_stored(self, tensors: dict[str, Tensor]) -> None:
        """Take vectors as used; a perceptron has no more part in them."""
        self.net = None
        self.table = nn.Parameter(tensors["table"].clone())
        for name in self.maps:
            self.register_parameter(name, nn.Parameter(tensors[name].clone()))

    def _rows(self) -> Tensor:
        """The vectors, `(layers, k, H)`."""
        return self.table if self.net is None else self.table + self.net(self.table)

    def _capsule(self, place: int, mean: Tensor) -> Tensor:
        """S^i from the mean `(U, 1, H)`."""
        if self.options.stop_gradient:
            mean = mean.detach()
        row = self.table[place]
        row = row if self.net is None else row + self.net(row)
        own = row.expand(mean.shape[0], -1, -1)  # [U, k, H]
        if self.options.variant == "prepending":
            return torch.cat([mean.expand_as(own), own], dim=1)
        if self.options.variant == "projection":
            down, up = (self.get_parameter(name)[place] for name in ("down", "up"))
            mean = torch.nn.functional.gelu(mean @ down) @ up
        return own + mean

    def _extracted(self, place: int, view: View) -> Tensor:
        """The sum over the text of gelu(b + sum_t w_t * x_{j+t}), fp32, `(U, 1, H)`; other columns count as zeros."""
        kernel, bias = (self.get_parameter(name)[place] for name in ("kernel", "bias"))  # (H, w), (H,)
        inside = view.text[:, None]  # (U, 1, T)
        states = view.states.to(torch.float32).transpose(1, 2).where(inside, 0.0)
        width = kernel.shape[1]
        states = torch.nn.functional.pad(states, ((width - 1) // 2, width // 2))
        found = torch.nn.functional.conv1d(states, kernel[:, None], bias, groups=kernel.shape[0])
        return torch.nn.functional.gelu(found).where(inside, 0.0).sum(-1)[:, None]


def _maps(options: CaPT, layers: int, context: BuildContext) -> dict[str, Tensor]:
    """What a variant trains beside the vectors, a row for each layer."""
    hidden, rank = context.anatomy.hidden_size, options.projection_rank
    if options.variant == "projection":
        down = tables.normal((layers, hidden, rank), hidden**-0.5, context)
        # A zero up-projection starts at the addition variant's p alone; the first step opens it.
        return {"down": down, "up": torch.zeros(layers, rank, hidden)}
    if options.variant == "extraction":
        return {"kernel": torch.zeros(layers, hidden, options.kernel_size), "bias": torch.zeros(layers, hidden)}
    return {}


def _residual(width: int, context: BuildContext) -> nn.Module:
    """phi, whose last map is zero at the start."""
    hidden = context.anatomy.hidden_size
    net = perceptron(hidden, width, hidden, nn.ReLU(), context)
    for parameter in net[2].parameters():
        nn.init.zeros_(parameter)
    return net
