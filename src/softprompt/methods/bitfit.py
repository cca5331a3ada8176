r"""BitFit: only the biases are trained.

Ben Zaken, Goldberg, Ravfogel, "BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked
Language-models", ACL 2022, <https://arxiv.org/abs/2106.10199>.

    y = W x + b   and   y = gamma * norm(x) + beta:   b and beta trained, everything else frozen

Weight side, so it attaches alone. Trained are the biases of the embedding's norm, of every projection and of every norm
in the body (an encoder-decoder's both stacks): on a BERT of N layers, width d and feed-forward width f that is
N (7 d + f) + d scalars. Stored are these.

Decided here: a pooler's bias stays frozen, for no readout of this library reads it; the trained copies are fp32 over
any backbone and are cast where they are used. Llama, T5 and Gemma have no biases, so there is nothing to train.
"""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.compat import parameters_of
from softprompt.backbones.projections import modules_of
from softprompt.methods.base import BuildContext, Method, Recipe
from softprompt.methods.parts.weights import InModel, copies, key
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer, StandIn


@register
class BitFit(Method):
    """The backbone's biases trained (Ben Zaken et al., 2022)."""

    name: ClassVar[str] = "bitfit"
    title: ClassVar[str] = "BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models"
    url: ClassVar[str] = "https://arxiv.org/abs/2106.10199"
    site: ClassVar[str] = "weights"
    evidence: ClassVar[str] = "official code"
    recipes: ClassVar[dict[str, Recipe]] = {
        "encoder": Recipe(1e-3, "the official code's example on RTE", measured_on=("bert",)),
        "default": Recipe(1e-3, "our choice: the rate of the official code's example on BERT", measured_on=()),
    }

    def build(self, context: BuildContext) -> Producer:
        """Make fp32 copies of the biases."""
        return Biases(_biased(context.anatomy))

    def refusal(self, anatomy: Anatomy) -> str | None:
        """A backbone without biases has nothing to train."""
        return None if _biased(anatomy) else "it has no biases to train; use method lora, ia3 or adapter"


def _biased(anatomy: Anatomy) -> dict[str, nn.Module]:
    """The modules that have a bias, by path."""
    found = dict(modules_of(anatomy))
    return {
        path: module
        for path, module in found.items()
        if parameters_of(module).get("bias") is not None and "pooler" not in path.split(".")
    }


class Biases(InModel):
    """Trained copies of the biases, by the path of their module."""

    def __init__(self, places: dict[str, nn.Module]) -> None:
        super().__init__(places)
        self.biases = nn.ParameterDict({key(path): copies(module, ["bias"])["bias"] for path, module in places.items()})

    def stand_in(self, path: str) -> StandIn:
        """A module's trained bias."""
        return StandIn({"bias": self.biases[key(path)]})
