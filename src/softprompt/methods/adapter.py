r"""Adapters: small bottleneck layers inside the frozen backbone, two in each layer.

Houlsby et al., "Parameter-Efficient Transfer Learning for NLP", ICML 2019, <https://arxiv.org/abs/1902.00751>.

    y = x + W_2 gelu(W_1 x + b_1) + b_2,   W_1 in R^{d x m}, W_2 in R^{m x d}

One stands after the attention's output projection and one after the feed-forward's, each before the residual sum and
the norm; the norms inside the layers are trained too. In an encoder-decoder both stacks have them, a decoder's
cross-attention as well. Weight side, so it attaches alone. Trained and stored: 2 N (2 m d + m + d) on N layers, and
4 N d for BERT's norms.

From the official code: the places, m = 64, truncated normal first values of deviation 1e-3 (cut at two deviations),
biases zero, so training starts close to the backbone. Decided here: gelu is the exact one; the final norm and the
embedding's stay frozen; adapters and trained norms are fp32 over any backbone; layers whose weights are shared (ALBERT)
share their adapters.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.projections import is_attention_output, is_feed_forward_output, linears, norms, sizes_of
from softprompt.methods.base import BuildContext, Method, Recipe
from softprompt.methods.parts.weights import InModel, copies, key
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer, StandIn


@register
class Adapter(Method):
    """Trained bottleneck layers in the frozen backbone (Houlsby et al., 2019)."""

    name: ClassVar[str] = "adapter"
    title: ClassVar[str] = "Parameter-Efficient Transfer Learning for NLP"
    url: ClassVar[str] = "https://arxiv.org/abs/1902.00751"
    site: ClassVar[str] = "weights"
    evidence: ClassVar[str] = "official code; the paper's grid of rates and widths from memory"
    recipes: ClassVar[dict[str, Recipe]] = {
        "encoder": Recipe(3e-4, "the official code on BERT", warmup_ratio=0.1, batch_size=32, measured_on=("bert",)),
        "default": Recipe(3e-4, "our choice: the official code's rate on BERT", warmup_ratio=0.1, measured_on=()),
    }

    bottleneck: int = Field(64, ge=1, description="m, the width of each adapter")
    train_norms: bool = Field(True, description="train the norms inside the layers too, as the paper does")
    init_std: float = Field(1e-3, gt=0, description="deviation of the first weights, cut at two deviations")

    def build(self, context: BuildContext) -> Producer:
        """Make two adapters a layer, fp32, and copies of the norms."""
        return Adapters(self, context)

    def refusal(self, anatomy: Anatomy) -> str | None:
        """A layer without the two output projections has no place for them."""
        found = _outputs(anatomy)
        if any(map(is_attention_output, found)) and any(map(is_feed_forward_output, found)):
            return None
        return "its layers have no single output projections after attention and feed-forward; use method lora"


def _outputs(anatomy: Anatomy) -> dict[str, nn.Module]:
    return linears(anatomy, lambda path: is_attention_output(path) or is_feed_forward_output(path))


class Adapters(InModel):
    """The adapters by the path of the projection that each follows, and the norms' trained values by theirs."""

    def __init__(self, options: Adapter, context: BuildContext) -> None:
        outputs = _outputs(context.anatomy)
        trained = norms(context.anatomy) if options.train_norms else {}
        super().__init__({**outputs, **trained})
        self.adapters = nn.ModuleDict(
            {key(path): Bottleneck(_width(module), options, context) for path, module in outputs.items()}
        )
        self.norms = nn.ModuleDict({key(path): nn.ParameterDict(copies(module)) for path, module in trained.items()})

    def stand_in(self, path: str) -> StandIn:
        """The adapter that follows a projection, or a norm's values."""
        name = key(path)
        if name in self.norms:
            values = self.norms[name]
            assert isinstance(values, nn.ParameterDict)
            return StandIn(dict(values.items()))
        adapter = self.adapters[name]
        return StandIn(layer=lambda call, beneath, args, kwargs: adapter(beneath(*args, **kwargs)))


class Bottleneck(nn.Module):
    """One adapter over states of width d."""

    def __init__(self, width: int, options: Adapter, context: BuildContext) -> None:
        super().__init__()
        self.down = nn.Linear(width, options.bottleneck)
        self.up = nn.Linear(options.bottleneck, width)
        for layer in (self.down, self.up):
            nn.init.zeros_(layer.bias)
            bound = 2 * options.init_std
            nn.init.trunc_normal_(layer.weight, std=options.init_std, a=-bound, b=bound, generator=context.generator)

    def forward(self, states: Tensor) -> Tensor:
        """`x + W_2 gelu(W_1 x + b_1) + b_2`, in the precision of `x`, computed in fp32."""
        made: Tensor = self.up(nn.functional.gelu(self.down(states.to(torch.float32))))
        return states + made.to(states.dtype)


def _width(module: nn.Module) -> int:
    sizes = sizes_of(module)
    assert sizes is not None
    return sizes[1]
