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
(`decoder_sees_capsule`); lengths above one repeat the mean, S^i = P^i + 1 mu^T.

Two options are ours and in no paper:

- `depth="learned"`: a gate a_i = sigmoid(g_i) a layer, trained beside the capsules, says which layers are prompted,
  T^i = v_i S^i + (1 - v_i) S_^{i-1}, with the value v_i = [a_i >= 1/2] and the gradient of a_i (parts/gates.py). All
  gates start open, at g = 1, so that one noisy step shuts none. Stored are the kept layers alone.
- `residual_width=m`: the vectors are made as p + phi(p), phi = Linear(d, m) -> ReLU -> Linear(m, d), one phi for all
  layers, after Residual Prompt Tuning (<https://arxiv.org/abs/2305.03937>). Its last map starts at zero, so training
  starts as without it; stored are the vectors made.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.errors import SoftPromptError
from softprompt.methods.base import Method, Recipe, Setting
from softprompt.methods.parts import tables
from softprompt.methods.parts.depth import Depth, layers_of
from softprompt.methods.parts.encoders import perceptron
from softprompt.methods.parts.gates import Gates
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
    depth: Literal[Depth, "learned"] = Field(
        "all", description="which layers are prompted: all, input, first_half, latter_half, odd, or learned by gates"
    )
    variant: Variant = Field("addition", description="addition, prepending (two slots) or projection (paper, table 3)")
    projection_rank: int = Field(16, ge=1, description="rank of variant='projection' (not stated in the paper)")
    stop_gradient: bool = Field(False, description="cut the gradient through the mean")
    decoder_sees_capsule: bool = Field(True, description="encoder-decoder: the decoder attends to the final capsule")
    init_std: float = Field(0.0, ge=0, description="standard deviation of the first values; 0 starts at the mean")

    residual_width: int = Field(0, ge=0, description="m, make the vectors as p + phi(p) while training; 0 does not")
    gate_start: float = Field(1.0, description="depth='learned': g at the start; a gate shuts below 0")
    gate_rate: float = Field(0.1, gt=0, description="depth='learned': the gates' learning rate as a multiple")

    def build(self, setting: Setting) -> Producer:
        """Make the vectors, shape `(layers, k, H)`, fp32."""
        layers = layers_of("all" if self.depth == "learned" else self.depth, setting.anatomy.num_layers)
        return Capsules(self, layers, setting)


class Capsules(Producer):
    """p^1..p^N, shape `(layers, k, H)`, the low-rank maps of the projection variant, and what is dropped when stored.

    Attributes:
        layers: the prompted layers, one for each of the table's rows.
        gates: of depth='learned'; None once the choice is made.
        net: phi of the residual re-parametrisation; None once the vectors are made.
    """

    shift = False

    def __init__(self, options: CaPT, layers: tuple[int, ...], setting: Setting) -> None:
        super().__init__()
        hidden, rank = setting.anatomy.hidden_size, options.projection_rank
        rows = tables.normal((len(layers), options.num_virtual_tokens, hidden), options.init_std, setting)
        self.table = nn.Parameter(rows)
        self.down: nn.Parameter | None = None
        self.up: nn.Parameter | None = None
        if options.variant == "projection":
            self.down = nn.Parameter(tables.normal((len(layers), hidden, rank), hidden**-0.5, setting))
            # A zero up-projection starts at the addition variant's p alone; the first step opens it.
            self.up = nn.Parameter(torch.zeros(len(layers), rank, hidden))
        self.gates = Gates(len(layers), start=options.gate_start) if options.depth == "learned" else None
        self.net = _residual(options.residual_width, setting) if options.residual_width else None
        self.options, self.layers, self.depth = options, layers, setting.anatomy.num_layers
        self.hidden_layers = frozenset(layers)
        self.count = options.num_virtual_tokens * (2 if options.variant == "prepending" else 1)
        self.visible_to_decoder = options.decoder_sees_capsule
        self._unfilled = setting.blank

    def rewrite(self, layer: int, view: View) -> Tensor:
        """S^i, shape `(U, k, H)`; with prepending `[mu; p^i]`, shape `(U, 2k, H)`."""
        place = self.layers.index(layer)
        made = self._capsule(place, view.mean(with_slots=layer > 0))
        if self.gates is None:
            return made
        value = self.gates.values()[place]
        return value * made + (1 - value) * view.at_slots

    def rates(self) -> dict[str, float]:
        """The gates' rate, where there are any."""
        return {} if self.gates is None else {"gates.logits": self.options.gate_rate}

    @torch.no_grad()
    def stored(self) -> dict[str, Tensor]:
        """The vectors as used, and the maps; with learned depth those of the kept layers, and `layers` says which.

        Before stored values are taken nobody knows how many layers these keep, so learned depth names no tensors then.
        """
        learned = self.options.depth == "learned"
        if learned and self._unfilled:
            return {}
        kept = list(range(len(self.layers)) if self.gates is None else self.gates.kept())
        found = {"table": self._rows(), "down": self.down, "up": self.up}
        tensors = {name: value.detach()[kept] for name, value in found.items() if value is not None}
        return {**tensors, "layers": torch.tensor([self.layers[place] for place in kept])} if learned else tensors

    def load_stored(self, tensors: dict[str, Tensor]) -> None:
        """Take vectors as used; gates and perceptron have no more part in them.

        Raises:
            SoftPromptError: learned layers that the backbone lacks, or tensors that do not belong to them.
        """
        if self.options.depth == "learned":
            self._take_layers(tensors)
        self.gates, self.net, self._unfilled = None, None, False
        self.table = nn.Parameter(tensors["table"].clone())
        if self.down is not None:
            self.down, self.up = (nn.Parameter(tensors[name].clone()) for name in ("down", "up"))

    def _take_layers(self, tensors: dict[str, Tensor]) -> None:
        own = {
            name for name, value in (("table", self.table), ("down", self.down), ("up", self.up)) if value is not None
        }
        layers = tuple(tensors["layers"].flatten().tolist()) if own | {"layers"} <= tensors.keys() else ()
        shapes = {name: (len(layers), *getattr(self, name).shape[1:]) for name in own}
        ascending = layers and list(layers) == sorted({*layers} & {*range(self.depth)})
        if not ascending or any(tuple(tensors[name].shape) != shape for name, shape in shapes.items()):
            raise SoftPromptError(
                "a capsule file of learned depth lacks layers or their vectors: save the prompt again"
            )
        self.layers, self.hidden_layers = layers, frozenset(layers)

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
        if self.down is not None and self.up is not None:
            mean = torch.nn.functional.gelu(mean @ self.down[place]) @ self.up[place]
        return own + mean


def _residual(width: int, setting: Setting) -> nn.Module:
    """phi, whose last map is zero at the start."""
    hidden = setting.anatomy.hidden_size
    net = perceptron(hidden, width, hidden, nn.ReLU(), setting)
    for parameter in net[2].parameters():
        nn.init.zeros_(parameter)
    return net
