r"""Prompt Tuning: one table of virtual tokens before the text.

Lester, Al-Rfou, Constant, "The Power of Scale for Parameter-Efficient Prompt Tuning", EMNLP 2021,
<https://arxiv.org/abs/2104.08691>.

    Pr(Y | [P; X]),  P in R^{p x e} trained, everything else frozen

Site `stream`: the ids of the virtual tokens resolve to the rows of `P`. On an encoder-decoder the encoder alone is
prompted and the decoder attends to all p + n outputs. Trained and stored: p * e scalars.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.errors import SoftPromptError
from softprompt.methods.base import BuildContext, Method, Needs, Recipe
from softprompt.methods.parts import tables
from softprompt.methods.parts.lists import split_at
from softprompt.methods.parts.saved_table import saved
from softprompt.methods.registry import register
from softprompt.sites.layout import Placement
from softprompt.sites.producer import Producer, View


@register
class PromptTuning(Method):
    """Trained virtual tokens in the input (Lester et al., 2021)."""

    name: ClassVar[str] = "prompt_tuning"
    title: ClassVar[str] = "The Power of Scale for Parameter-Efficient Prompt Tuning"
    url: ClassVar[str] = "https://arxiv.org/abs/2104.08691"
    site: ClassVar[str] = "stream"
    evidence: ClassVar[str] = "full text and official code"
    needs: ClassVar[Needs] = {
        "init_text": ("init", ("text",)),
        "init_prompt": ("init", ("saved",)),
        "init_words": ("init", ("class_labels",)),
        "init_bound": ("init", ("random_uniform",)),
    }
    recipes: ClassVar[dict[str, Recipe]] = {
        "gemma3_text": Recipe(
            0.03, "measured on Gemma 3 270M, 16 rows a class (docs/defaults.md)", measured_on=("gemma3_text",)
        ),
        "encoder-decoder": Recipe(
            0.3,
            "Lester et al. 2021, section 3",
            optimizer="adafactor",
            schedule="constant",
            weight_decay=1e-5,
            measured_on=("t5",),
        ),
        "encoder": Recipe(
            0.01, "measured on MiniLM: 0.001 to 0.1, 16 rows a class (docs/defaults.md)", measured_on=("bert",)
        ),
        "default": Recipe(0.03, "our choice: the value measured on Gemma 3 270M", measured_on=()),
    }

    num_virtual_tokens: int = Field(20, ge=1, description="P, the number of virtual tokens")
    init: Literal["sampled_vocab", "random_uniform", "class_labels", "text", "saved"] = Field(
        "sampled_vocab", description="where the first values come from"
    )
    init_text: str | None = Field(None, description="the words of init='text'")
    init_prompt: str | None = Field(None, description="the prompt folder of init='saved'")
    init_words: Annotated[tuple[str, ...], split_at(",")] = Field(
        (), description="init='class_labels': words of the task in the place of its label words, a row each"
    )
    init_bound: float = Field(0.5, gt=0, description="random_uniform draws from [-bound, bound]")
    placement: Placement = Field("front", description="where the virtual tokens stand")

    def starts(self) -> tuple[str, ...]:
        """The prompt of `init="saved"`."""
        return () if self.init != "saved" or self.init_prompt is None else (self.init_prompt,)

    def build(self, context: BuildContext) -> Producer:
        """Make the table, shape `(P, E)`, fp32."""
        return Table(self._rows(context), self.placement)

    def _rows(self, context: BuildContext) -> Tensor:
        count = self.num_virtual_tokens
        if context.blank:
            return torch.zeros(count, context.anatomy.embedding_size)
        if self.init == "random_uniform":
            return tables.uniform((count, context.anatomy.embedding_size), self.init_bound, context)
        if self.init == "class_labels":
            return tables.class_labels(count, context, self.init_words)
        if self.init == "text":
            if self.init_text is None:
                raise SoftPromptError("init='text' needs the words: set init_text")
            return tables.text(count, self.init_text, context)
        if self.init == "saved":
            if self.init_prompt is None:
                raise SoftPromptError("init='saved' needs a prompt folder: set init_prompt")
            return saved(self.init_prompt, count, context)
        return tables.sampled_vocabulary(count, context)


class Table(Producer):
    """P rows of embeddings, shape `(P, E)`."""

    static = True

    def __init__(self, rows: Tensor, placement: Placement) -> None:
        super().__init__()
        self.table = nn.Parameter(rows.clone())
        self.count = rows.shape[0]
        self.placement = placement

    def embed(self, view: View) -> Tensor:
        """The table, `(P, E)`."""
        return self.table
