r"""SMoP: several short prompts, and a router that gives each input one of them.

Choi et al., "SMoP: Towards Efficient and Effective Prompt Tuning with Sparse Mixture-of-Prompts", EMNLP 2023,
<https://aclanthology.org/2023.emnlp-main.884/>.

    g = softmax(W_r Mean(E)),   j = argmax g,   P(E) = g_j P_j,   P_1..P_R in R^{l x e},   W_r in R^{R x e}

Site `stream`: the l virtual tokens take the rows of the chosen prompt, times its router's probability, through which
the router learns. In training the router's logits z become z (1 + s n), n ~ N(0, 1), with no gradient through the
factor z of the noise, and w R sum_j (mean_batch g_j) (share of the batch that j takes) joins the loss. Trained and
stored: R l e + R e scalars.

From the official code: R = 4, l = 5, s = 1, w = 0.01 (its scripts leave that on), an orthogonal W_r. Its mean is over
the embeddings of the input with padding left out; here answer tokens are left out, too, so that teacher forcing tells
the router nothing. Decided here: rows start from words (the code draws N(0, 1): `init='normal'`).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.methods.base import BuildContext, Method, Recipe
from softprompt.methods.parts import tables
from softprompt.methods.registry import register
from softprompt.sites.layout import Placement
from softprompt.sites.producer import Producer, View


@register
class SMoP(Method):
    """A sparse mixture of short prompts (Choi et al., 2023)."""

    name: ClassVar[str] = "smop"
    title: ClassVar[str] = "SMoP: Towards Efficient and Effective Prompt Tuning with Sparse Mixture-of-Prompts"
    url: ClassVar[str] = "https://aclanthology.org/2023.emnlp-main.884/"
    site: ClassVar[str] = "stream"
    evidence: ClassVar[str] = "official code"
    recipes: ClassVar[dict[str, Recipe]] = {
        "encoder-decoder": Recipe(
            0.5,
            "the official scripts on T5",
            optimizer="adafactor",
            warmup_ratio=0.06,
            weight_decay=1e-5,
            epochs=50,
            batch_size=32,
            measured_on=("t5",),
        ),
        "default": Recipe(0.03, "our choice: Prompt Tuning's, which was measured on Gemma 3 270M", measured_on=()),
    }

    num_prompts: int = Field(4, ge=2, description="R, the prompts to choose from")
    num_virtual_tokens: int = Field(5, ge=1, description="l, the virtual tokens of each")
    router_noise: float = Field(1.0, ge=0, description="s, the relative noise on the router's logits in training")
    load_balancing: float = Field(0.01, ge=0, description="w, the weight of the term that spreads inputs over prompts")
    init: Literal["sampled_vocab", "normal"] = Field("sampled_vocab", description="where the first values come from")
    placement: Placement = Field("front", description="where the virtual tokens stand")

    def couples_rows(self) -> bool:
        """The balancing term is a product of two means over the batch."""
        return self.load_balancing > 0

    def build(self, context: BuildContext) -> Producer:
        """Make the prompts `(R, l, E)` and the router `(R, E)`, fp32."""
        count, width = self.num_prompts * self.num_virtual_tokens, context.anatomy.embedding_size
        router = torch.zeros(self.num_prompts, width)
        if context.blank:
            rows = torch.zeros(count, width)
        else:
            nn.init.orthogonal_(router, generator=context.generator)
            words = self.init == "sampled_vocab"
            rows = tables.sampled_vocabulary(count, context) if words else tables.normal((count, width), 1.0, context)
        return Routed(self, rows.view(self.num_prompts, self.num_virtual_tokens, width), router)


class Routed(Producer):
    """R prompts of l rows, shape `(R, l, E)`, and the router that chooses among them, `(R, E)`."""

    def __init__(self, options: SMoP, rows: Tensor, router: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(rows.clone())
        self.router = nn.Parameter(router)
        self.options = options
        self.count = rows.shape[1]
        self.placement = options.placement
        self._spread: Tensor | None = None

    def embed(self, view: View) -> Tensor:
        """The chosen prompt times its probability, `(U, l, E)`."""
        logits = view.mean()[:, 0] @ self.router.T
        if self.training and self.options.router_noise:
            logits = logits + self.options.router_noise * torch.randn_like(logits) * logits.detach()
        shares = logits.softmax(-1)  # [U, R]
        share, best = shares.max(-1)
        if self.training:
            taken = nn.functional.one_hot(best, shares.shape[1]).to(shares.dtype)
            self._spread = shares.shape[1] * (shares.mean(0) * taken.mean(0)).sum()
        return share[:, None, None] * self.table[best]

    def penalty(self) -> Tensor | None:
        """The balancing term of the last batch: 1 times its weight where every prompt takes its equal share."""
        spread, self._spread = self._spread, None
        return None if spread is None or not self.options.load_balancing else self.options.load_balancing * spread
