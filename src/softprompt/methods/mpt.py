r"""MPT, multitask prompt tuning: a prompt that tasks share, times a small factor of each task's own.

Wang et al., "Multitask Prompt Tuning Enables Parameter-Efficient Transfer Learning", ICLR 2023,
<https://arxiv.org/abs/2303.02861>.

    P_t = P* o (U_t V_t),   P* in R^{k x e} shared,   U_t in R^{k x r},   V_t in R^{r x e},   o entry by entry

Site `stream`, as Prompt Tuning with the rows P_t. P* is trained on several tasks together, with teachers where there
are some (`softprompt.training.multitask`), and a target task goes on from it: `init_from` takes a saved MPT prompt
whole, P* and factors; `init="saved"` takes P* alone, of an MPT or a Prompt Tuning prompt, and begins the factors anew.
Without either, P* starts as Prompt Tuning's table does. Trained and stored: k e + r (k + e) scalars; r (k + e) are
trained with `train_shared=False`.

From PEFT's code, which the authors' institute wrote: the equation, r = 1, P* trained along for a target. The paper's
text could not be read. Decided here: U V is all ones at first, so that training starts at P* (PEFT draws both factors
from N(0, 0.02^2), whose product is next to nothing): of U and V the first column and row are ones, further ones are
N(0, 0.02^2) and zeros, or equal ones would stay equal; one rate for all unless `factor_rate` says otherwise.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.methods.base import BuildContext, Recipe
from softprompt.methods.parts import tables
from softprompt.methods.prompt_tuning import PromptTuning
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer, View


@register
class MPT(PromptTuning):
    """A shared prompt times a factor of low rank (Wang et al., 2023)."""

    name: ClassVar[str] = "mpt"
    title: ClassVar[str] = "Multitask Prompt Tuning Enables Parameter-Efficient Transfer Learning"
    url: ClassVar[str] = "https://arxiv.org/abs/2303.02861"
    site: ClassVar[str] = "stream"
    evidence: ClassVar[str] = "PEFT's code and the abstract; rates are our choice"
    per_task: ClassVar[tuple[str, ...]] = ("columns", "rows")
    recipes: ClassVar[dict[str, Recipe]] = {
        "encoder-decoder": Recipe(
            0.3, "our choice: what ATTEMPT's official scripts train prompts on T5 with", batch_size=32, measured_on=()
        ),
        "default": Recipe(0.03, "our choice: Prompt Tuning's, which was measured on Gemma 3 270M", measured_on=()),
    }

    rank: int = Field(1, ge=1, description="r, the rank of the task's factor")
    train_shared: bool = Field(True, description="train the shared prompt, too, and not the factors alone")
    factor_rate: float = Field(
        1.0, gt=0, description="the learning rate of the factors as a multiple of the shared prompt's"
    )

    def build(self, context: BuildContext) -> Producer:
        """Make P* `(k, E)`, U `(k, r)` and V `(r, E)`, fp32."""
        shared = self._rows(context)
        columns = tables.normal((len(shared), self.rank), 0.02, context)
        columns[:, 0] = 1.0
        return Factored(self, shared, columns)


class Factored(Producer):
    """P* `(k, E)` and the task's own U `(k, r)` and V `(r, E)`."""

    static = True
    table: Tensor

    def __init__(self, options: MPT, shared: Tensor, columns: Tensor) -> None:
        super().__init__()
        if options.train_shared:
            self.table = nn.Parameter(shared.clone())
        else:
            self.register_buffer("table", shared.clone())
        self.columns = nn.Parameter(columns)
        self.rows = nn.Parameter(torch.zeros(options.rank, shared.shape[1]))
        nn.init.ones_(self.rows[:1])
        self.count = len(shared)
        self.placement = options.placement
        self.factor_rate = options.factor_rate

    def embed(self, view: View) -> Tensor:
        """P_t, `(k, E)`."""
        return self.table * (self.columns @ self.rows)

    def rates(self) -> dict[str, float]:
        """The factors' rate, where they have one of their own."""
        return {} if self.factor_rate == 1.0 else dict.fromkeys(("columns", "rows"), self.factor_rate)
