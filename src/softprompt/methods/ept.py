r"""EPT: a long prompt of low rank whose tokens mix, averaged to a short one.

Lan et al., "Efficient and Effective Prompt Tuning via Prompt Decomposition and Compressed Outer Product", NAACL 2025,
<https://arxiv.org/abs/2502.12200>. The paper calls it LAMP; CaPT's tables call it EPT, which is another paper's name.

    P = Pool_p(U (U^T U)) diag(q) V,   U in R^{l x r},   q in R^r,   V in R^{r x e},   l = p k

Site `stream`, as Prompt Tuning with the k rows of P. Trained: r (l + 1 + e) scalars; stored: the rows, k e scalars.

The paper's full text could not be read. Its abstract and public summaries tell: a truncated SVD of a soft prompt whose
three factors are trained, a "compressed outer product" in which the prompt's tokens interact, average pooling that
makes the prompt short, and about 7,000 trained scalars in the place of 77,000, which are r = 8 and l = 100 at e = 768.

Decided here, first of all the outer product. Tokens i and j meet in the entry u_i . u_j of U U^T, and each row becomes
the sum of all rows, weighted so: U U^T (U diag(q) V). Compressed, for U (U^T U) is the same and never holds l x l
numbers. The SVD is that of l frequent words, so U^T U starts as the identity and training at Prompt Tuning's start, cut
to rank r. Blocks of p = 5 neighbours are averaged into one virtual token.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from softprompt.errors import SoftPromptError
from softprompt.methods.base import BuildContext, Method, Recipe
from softprompt.methods.parts import tables
from softprompt.methods.parts.encoders import MadeTable, blank_table
from softprompt.methods.registry import register
from softprompt.sites.layout import Placement
from softprompt.sites.producer import Producer


@register
class EPT(Method):
    """A prompt of low rank whose tokens mix, averaged to a short one (Lan et al., 2025)."""

    name: ClassVar[str] = "ept"
    title: ClassVar[str] = "Efficient and Effective Prompt Tuning via Prompt Decomposition and Compressed Outer Product"
    url: ClassVar[str] = "https://arxiv.org/abs/2502.12200"
    site: ClassVar[str] = "stream"
    evidence: ClassVar[str] = "abstract and summaries alone; the outer product and the rates are our choice"
    recipes: ClassVar[dict[str, Recipe]] = {
        "gemma3_text": Recipe(
            0.02,
            "measured on Gemma 3 270M: 0.001, 0.005 and 0.02, 16 rows a class (docs/methods/ept.md)",
            measured_on=("gemma3_text",),
        ),
        "default": Recipe(0.02, "our choice: the value measured on Gemma 3 270M", measured_on=()),
    }

    num_virtual_tokens: int = Field(20, ge=1, description="k, the number of virtual tokens")
    pool: int = Field(5, ge=1, description="p, the rows that are averaged into one virtual token")
    rank: int = Field(8, ge=1, description="r, the rank of the long prompt")
    placement: Placement = Field("front", description="where the virtual tokens stand")

    @model_validator(mode="after")
    def _rows_for_the_rank(self) -> EPT:
        if self.rank > self.length:
            raise ValueError(
                f"rank {self.rank} is more than the {self.length} rows of the long prompt: lower rank, or raise "
                "num_virtual_tokens or pool"
            )
        return self

    @property
    def length(self) -> int:
        """l, the rows of the long prompt."""
        return self.num_virtual_tokens * self.pool

    def build(self, context: BuildContext) -> Producer:
        """Make U `(k, p, r)`, q `(r,)` and V `(r, E)`, fp32, of the words' truncated SVD.

        Raises:
            SoftPromptError: the embeddings are narrower than the rank.
        """
        width = context.anatomy.embedding_size
        if self.rank > width:
            raise SoftPromptError(
                f"rank={self.rank} is more than the backbone's embeddings are wide, {width}: lower it"
            )
        if context.blank:
            return blank_table(self.num_virtual_tokens, self.placement, context)
        left, values, right = self._factors(context)
        coordinates = left.reshape(self.num_virtual_tokens, self.pool, self.rank)
        return MadeTable(coordinates, OuterProduct(values, right), self.placement)

    def _factors(self, context: BuildContext) -> tuple[Tensor, Tensor, Tensor]:
        """U `(l, r)`, q `(r,)` and V `(r, E)` of drawn words."""
        rank = self.rank
        if context.sketch:  # there are no numbers to decompose
            return torch.empty(self.length, rank), torch.empty(rank), torch.empty(rank, context.anatomy.embedding_size)
        words = tables.sampled_vocabulary(self.length, context)
        left, values, right = torch.linalg.svd(words, full_matrices=False)
        return left[:, :rank], values[:rank], right[:rank]


class OuterProduct(nn.Module):
    """Coordinates `(k, p, r)` to rows `(k, E)`."""

    def __init__(self, values: Tensor, directions: Tensor) -> None:
        """See the module.

        Args:
            values: q, shape `(r,)`.
            directions: V, shape `(r, E)`.
        """
        super().__init__()
        self.values = nn.Parameter(values.clone())
        self.directions = nn.Parameter(directions.clone())

    def forward(self, coordinates: Tensor) -> Tensor:
        """Pool_p(U (U^T U)) diag(q) V, `(k, E)`; averaging first is the same, and works on k rows."""
        tokens = coordinates.flatten(0, 1)  # U, [l, r]
        rows: Tensor = coordinates.mean(1) @ (tokens.mT @ tokens) * self.values
        return rows @ self.directions
