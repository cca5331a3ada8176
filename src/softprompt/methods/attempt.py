r"""ATTEMPT: prompts of other tasks, mixed anew for each input by a small attention.

Asai et al., "ATTEMPT: Parameter-Efficient Multi-task Tuning via Attentional Mixtures of Soft Prompts", EMNLP 2022,
<https://arxiv.org/abs/2205.11961>.

    P(X) = P_T + sum_j a_j P_j,   j over the sources 1..t and the target T,   P_j in R^{k x e}
    a = softmax_j(max(P_j) . LN(W_up silu(W_down max(X))) / tau),   W_down in R^{m x e},   W_up in R^{e x m}

Site `stream`, as Prompt Tuning with the rows P(X). max(X) is the largest of each dimension over the text's embeddings,
max(P_j) over a prompt's rows. P_T, the two maps and the norm LN are trained; the sources are prompts of other tasks,
trained before, and stay as they are unless `train_sources` is set. Trained: k e + 2 e m + 2 e, and t k e with the
sources; stored: t k e with these, so that a saved prompt needs none of the folders that it was made from.

From the official code: max(X) (in a variable that is called an average), m = 100, no biases, maps from N(0, 0.01^2),
tau = 2000 (its scripts: 2087), P_T from words, AdamW, and the target both in the softmax and added once more; with
`ignore_target` it has no part at all. Its scripts take k = 100 and one rate for all; a rate of the attention's own is
an option there, too (`attention_rate`). Decided here: max(X) leaves padding, answers and other virtual tokens out (the
code takes padding's embedding in); k = 20, as Prompt Tuning's; and without `sources` there are `num_sources` prompts
that start from words and are trained along, which nobody proposed: they are there to compare with.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.methods.base import BuildContext, Needs, Recipe
from softprompt.methods.parts import tables
from softprompt.methods.parts.generators import adaptive_max
from softprompt.methods.parts.lists import split_at
from softprompt.methods.parts.saved_table import saved
from softprompt.methods.prompt_tuning import PromptTuning
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer, View


@register
class Attempt(PromptTuning):
    """Source prompts mixed by an attention that reads the text (Asai et al., 2022)."""

    name: ClassVar[str] = "attempt"
    title: ClassVar[str] = "ATTEMPT: Parameter-Efficient Multi-task Tuning via Attentional Mixtures of Soft Prompts"
    url: ClassVar[str] = "https://arxiv.org/abs/2205.11961"
    site: ClassVar[str] = "stream"
    evidence: ClassVar[str] = "official code"
    needs: ClassVar[Needs] = {
        **PromptTuning.needs,
        "num_sources": ("sources", ([],)),
        "train_sources": ("sources", True),
    }
    per_task: ClassVar[tuple[str, ...]] = ("table",)
    recipes: ClassVar[dict[str, Recipe]] = {
        "encoder-decoder": Recipe(
            0.3, "the official scripts on T5: AdamW, a linear schedule", batch_size=32, measured_on=("t5",)
        ),
        "default": Recipe(0.03, "our choice: Prompt Tuning's, which was measured on Gemma 3 270M", measured_on=()),
    }

    num_virtual_tokens: int = Field(20, ge=1, description="k, the virtual tokens of each prompt, sources among them")
    sources: Annotated[tuple[str, ...], split_at(",")] = Field(
        (),
        description="folders of saved prompts of this backbone and length, of Prompt Tuning or what stores a table as "
        "it does; a comma stands between them",
    )
    num_sources: int = Field(3, ge=1, description="without sources, how many start from words and are trained along")
    train_sources: bool = Field(False, description="train the sources, too")
    ignore_target: bool = Field(False, description="mix the sources alone: there is no target prompt")
    bottleneck: int = Field(100, ge=1, description="m, the width between the attention's maps")
    temperature: float = Field(2000.0, gt=0, description="tau, by which the attention's scores are divided")
    attention_rate: float = Field(
        1.0, gt=0, description="the learning rate of the attention as a multiple of the prompt's"
    )

    def starts(self) -> tuple[str, ...]:
        """The sources, and the prompt that the target starts from."""
        return (*super().starts(), *self.sources)

    def build(self, context: BuildContext) -> Producer:
        """Make the target `(k, E)`, the sources `(t, k, E)` and the attention, fp32."""
        target = None if self.ignore_target else self._rows(context)
        return Attended(self, target, self._sources(context), context)

    def _sources(self, context: BuildContext) -> Tensor:
        count, made = self.num_virtual_tokens, len(self.sources) or self.num_sources
        if context.blank:
            return torch.zeros(made, count, context.anatomy.embedding_size)
        if self.sources:
            return torch.stack([saved(source, count, context) for source in self.sources])
        return torch.stack([tables.sampled_vocabulary(count, context) for _ in range(made)])


class Attended(Producer):
    """The target `(k, E)`, or None, the sources `(t, k, E)`, and the attention over all of them."""

    sources: Tensor

    def __init__(self, options: Attempt, target: Tensor | None, sources: Tensor, context: BuildContext) -> None:
        super().__init__()
        width, between = sources.shape[-1], options.bottleneck
        self.table = None if target is None else nn.Parameter(target.clone())
        if options.sources and not options.train_sources:
            self.register_buffer("sources", sources)
        else:
            self.sources = nn.Parameter(sources)
        self.down = nn.Parameter(tables.normal((between, width), 0.01, context))
        self.up = nn.Parameter(tables.normal((width, between), 0.01, context))
        self.norm = nn.LayerNorm(width)
        self.count = options.num_virtual_tokens
        self.placement = options.placement
        self.temperature, self.attention_rate = options.temperature, options.attention_rate

    def embed(self, view: View) -> Tensor:
        """P(X) of each unit's text, `(U, k, E)`."""
        prompts = self.sources if self.table is None else torch.cat([self.sources, self.table[None]])
        mixed = torch.einsum("up,pke->uke", self.shares(view, prompts), prompts)
        return mixed if self.table is None else self.table + mixed

    def shares(self, view: View, prompts: Tensor) -> Tensor:
        """a: how much each unit takes of each of the prompts `(p, k, E)`, `(U, p)`, which sum to 1."""
        text = adaptive_max(view.states.to(torch.float32), view.text, 1)[:, 0]
        query = self.norm(nn.functional.silu(text @ self.down.T) @ self.up.T)
        scores: Tensor = query @ prompts.amax(1).T
        return (scores / self.temperature).softmax(-1)

    def rates(self) -> dict[str, float]:
        """The attention's rate, where it has one of its own."""
        if self.attention_rate == 1.0:
            return {}
        return dict.fromkeys(("down", "up", "norm.weight", "norm.bias"), self.attention_rate)
