r"""AutoPrompt: trigger words found by following the gradient, plain text in the end.

Shin et al., "AutoPrompt: Eliciting Knowledge from Language Models with Automatically Generated Prompts", EMNLP 2020,
<https://arxiv.org/abs/2010.15980>:

    p(y | x) = sum_{w in V_y} p([P] = w | template(x, T_1 .. T_k))
    candidates for T_j = top-k over the vocabulary of  -e(w) . g,   g = dL/de(T_j), summed over batches (HotFlip)

In each round one trigger is drawn, its candidates are tried on fresh rows, and the best of them takes its place if it
beats the triggers that stand; the best triggers on the validation rows are kept. `label_tokens` searches the sets V_y
first: a linear probe is trained on the states that the output embedding reads, and the tokens are ranked by the softmax
over classes of W E^T.

Site `stream`: the virtual tokens' rows are the embeddings of k words, so the logits are those of the plain text.
Trained: no weight. Stored: k token ids (and the label tokens); `metrics.json` and `prompt.json` hold the text and the
template with the text in it, which any tool can use. The course `autoprompt` runs the search.

From the official code: the ranking, one drawn trigger a round, the filter on label and special tokens, the probe's Adam
with 3e-4. Decided here: a candidate is admitted only if the whole text, triggers and a row together, tokenises to the
very ids (so the triggers survive as text), and if it is printable; "better" is a higher metric, then a lower loss (the
code compares the metric alone, which is too coarse on few rows); fewer rounds, candidates and batches than the code's
SST-2 settings (180 rounds, 100 candidates, 30 batches of 24), which are for a GPU; causal models and encoder-decoders
start from drawn words, having no mask to start from; a trigger that is still a mask takes its best candidate even if
that is no better, since a mask is no text; a template without {prompt} gets the triggers in front; the probe
is trained on all rows at once, from zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor

from softprompt.backbones.vocabulary import pieces
from softprompt.errors import SoftPromptError
from softprompt.methods.base import BuildContext, Method, Recipe
from softprompt.methods.parts.tables import population
from softprompt.methods.parts.vocabulary import is_text, readable
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer, View


@register
class AutoPrompt(Method):
    """Trigger words found by gradient-guided search (Shin et al., 2020)."""

    name: ClassVar[str] = "autoprompt"
    title: ClassVar[str] = "AutoPrompt: Eliciting Knowledge from Language Models with Automatically Generated Prompts"
    url: ClassVar[str] = "https://arxiv.org/abs/2010.15980"
    site: ClassVar[str] = "stream"
    evidence: ClassVar[str] = "official code; defaults for a CPU are ours"
    course: ClassVar[str] = "autoprompt"
    recipes: ClassVar[dict[str, Recipe]] = {
        # `measured_on` is left out: by default nothing has a rate.
        "default": Recipe(3e-4, "official code: the rate of the label probe; nothing else has one", batch_size=16)
    }

    num_virtual_tokens: int = Field(3, ge=1, description="k, the number of triggers (the paper's 3 on SST-2)")
    rounds: int = Field(60, ge=1, description="rounds of the search; each may change one trigger")
    candidates: int = Field(20, ge=1, description="words tried a round")
    search_batches: int = Field(2, ge=1, description="training batches whose gradient is summed, and on which is tried")
    init_text: str | None = Field(
        None, description="first triggers, of exactly k tokens; default: masks or drawn words"
    )
    label_tokens: int = Field(
        0,
        ge=0,
        description="search so many label tokens a class first (0: the task's label words; the paper's 3 to 10)",
    )

    @model_validator(mode="after")
    def _long_enough(self) -> AutoPrompt:
        if self.rounds < self.num_virtual_tokens:
            raise ValueError(f"rounds must be at least {self.num_virtual_tokens}, one a trigger")
        return self

    def build(self, context: BuildContext) -> Producer:
        """The first triggers."""
        return Triggers(self._first(context), context)

    def found(self) -> frozenset[str]:
        """The label tokens, where they are searched for."""
        return frozenset({"head.label_tokens"} if self.label_tokens else ())

    def trains(self) -> bool:
        """No weight is trained: a linear head beside the triggers would have no use."""
        return False

    def _first(self, context: BuildContext) -> list[int]:
        count = self.num_virtual_tokens
        if context.blank:
            return [0] * count
        if self.init_text is not None:
            ids = context.tokens(self.init_text)
            if len(ids) != count:
                raise SoftPromptError(f"init_text has {len(ids)} tokens and there are {count} triggers: let them agree")
            return ids
        mask: int | None = getattr(context.tokenizer, "mask_token_id", None)
        if context.anatomy.kind == "encoder" and mask is not None:
            return [mask] * count
        return self._drawn(count, context)

    def _drawn(self, count: int, context: BuildContext) -> list[int]:
        """Frequent words that survive as text; any pieces where there are too few."""
        frequent, tokenizer = population(context), context.tokenizer
        order: list[int] = frequent[torch.randperm(len(frequent), generator=context.generator)].tolist()
        if tokenizer is None:
            return order[:count]
        chosen: list[int] = []
        for token in order:
            if len(chosen) < count and readable(token, tokenizer) and is_text([*chosen, token], tokenizer):
                chosen.append(token)
        return chosen + order[: count - len(chosen)]


class Triggers(Producer):
    """k words: their ids, and their embeddings `(k, E)`, which are the model's own."""

    static = True

    def __init__(self, ids: Sequence[int], context: BuildContext) -> None:
        super().__init__()
        self.count = len(ids)
        self._setting = context
        self.ids: tuple[int, ...] = ()
        self.put(ids)

    def put(self, ids: Sequence[int]) -> None:
        """Take other words."""
        self.ids = tuple(int(token) for token in ids)
        self.rows = self._setting.embed(self.ids)

    def embed(self, view: View) -> Tensor:
        """The words' embeddings, `(k, E)`."""
        return self.rows.to(view.states.device)

    @torch.no_grad()
    def flips(self, gradient: Tensor, count: int) -> list[int]:
        """The words that a step against `gradient` `(E,)` favours, the best first: HotFlip's first-order estimate."""
        vocabulary = self._setting.anatomy.vocab_size
        gains = [-self._setting.embed(ids) @ gradient.float() for ids in pieces(vocabulary)]
        return torch.cat(gains).topk(min(count, vocabulary)).indices.tolist()

    def stored(self) -> dict[str, Tensor]:
        """The token ids, `(k,)`."""
        return {"ids": torch.tensor(self.ids)}

    def load_stored(self, tensors: dict[str, Tensor]) -> None:
        """Take token ids."""
        self.put(tensors["ids"].tolist())
