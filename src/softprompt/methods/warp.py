r"""WARP: virtual tokens around the text and the mask, and trained output rows in the place of label words.

Hambardzumyan, Khachatrian, May, "WARP: Word-level Adversarial ReProgramming", ACL 2021,
<https://arxiv.org/abs/2101.00121>:

    p(c | x) = softmax(V f + b)_c,   f = transform(h_[MASK]) in R^E,   V in R^{C x E},   b in R^C

Site `stream`, for P rows of R^E among the words of the task's template, and the readout `rows` for V and b (see
`softprompt.readouts.label_rows`). Trained and stored: P * E + C * E + C scalars; with P = 0 that is the paper's
WARP_0. V and b start from the label words' rows and biases in the language-model head.

Decided here: a template that names no places gets its slots in four equal parts, before the text, before the mask,
after it and at the end, as the paper's 5 x1 5 [MASK] 5 x2 5 does, and keeps its words; where the answer is the last
word, in two halves, before the text and before the answer. Slots start as the official code's few-shot runs start them
(the tokenizer's mask or padding token, or a normal draw), or as given words. One optimiser group a rate: the rows have
the head's.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from softprompt.backbones.anatomy import BackboneKind
from softprompt.backbones.heads import ReadoutName
from softprompt.backbones.vocabulary import pieces
from softprompt.errors import SoftPromptError
from softprompt.methods.base import BuildContext, Method, Needs, Recipe
from softprompt.methods.parts import tables
from softprompt.methods.prompt_tuning import Table
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer


@register
class WARP(Method):
    """Virtual tokens around text and mask, trained label rows (Hambardzumyan et al., 2021)."""

    name: ClassVar[str] = "warp"
    title: ClassVar[str] = "WARP: Word-level Adversarial ReProgramming"
    url: ClassVar[str] = "https://arxiv.org/abs/2101.00121"
    site: ClassVar[str] = "stream"
    evidence: ClassVar[str] = "official code; causal and encoder-decoder models are our extension"
    needs: ClassVar[Needs] = {"init": ("num_virtual_tokens", True), "init_words": ("num_virtual_tokens", True)}
    recipes: ClassVar[dict[str, Recipe]] = {
        "encoder": Recipe(
            1e-3,
            "the official GLUE configuration",
            warmup_ratio=0.06,
            epochs=30,
            batch_size=8,
            head_learning_rate=1e-3,
            measured_on=("roberta", "albert"),
        ),
        "gemma3_text": Recipe(
            0.03,
            "our choice: prompt tuning's rate for the slots, the paper's for the rows",
            head_learning_rate=1e-3,
            measured_on=(),
        ),
        "encoder-decoder": Recipe(
            0.3,
            "our choice: prompt tuning's rate for the slots",
            optimizer="adafactor",
            schedule="constant",
            head_learning_rate=1e-2,
            measured_on=(),
        ),
        "default": Recipe(
            0.03,
            "our choice: prompt tuning's rate for the slots, the paper's for the rows",
            head_learning_rate=1e-3,
            measured_on=(),
        ),
    }

    num_virtual_tokens: int = Field(20, ge=0, description="P, slots in all; 0 trains the output rows alone (WARP_0)")
    init: Literal["auto", "mask", "pad", "vocab_normal", "normal"] = Field(
        "auto",
        description="first values: the mask or padding token's vector, a normal draw with the vocabulary's mean and "
        "deviation or with 0 and 1; auto is mask where there is one, else vocab_normal",
    )
    init_words: str | None = Field(None, description="words whose vectors the first slots start from, one a token")

    def build(self, context: BuildContext) -> Producer:
        """Make the slots, shape `(P, E)`, fp32."""
        return SurroundingRows(self._rows(context), context.anatomy.kind)

    def readout(self, kind: BackboneKind, *, has_lm_head: bool) -> ReadoutName:
        """Always trained label rows; a backbone without a language-model head has no feature for them."""
        return "rows"

    def _rows(self, context: BuildContext) -> Tensor:
        shape = (self.num_virtual_tokens, context.anatomy.embedding_size)
        if context.blank or not self.num_virtual_tokens:
            return torch.zeros(shape)
        rows = self._drawn(shape, context)
        if self.init_words is not None:
            words = context.embed(context.tokens(self.init_words)[: shape[0]]).cpu()
            rows = torch.cat([words, rows[len(words) :]])
        return rows

    def _drawn(self, shape: tuple[int, int], context: BuildContext) -> Tensor:
        mask = getattr(context.tokenizer, "mask_token_id", None)
        kind = self.init
        if kind == "auto":
            kind = "vocab_normal" if mask is None else "mask"
        if kind == "normal":
            return tables.normal(shape, 1.0, context)
        if kind == "vocab_normal":
            mean, deviation = _moments(context)
            return mean + tables.normal(shape, deviation, context)
        token = mask if kind == "mask" else getattr(context.tokenizer, "pad_token_id", None)
        if token is None:
            raise SoftPromptError(f"init={kind!r} needs a tokenizer with that token: choose another `init`")
        return context.embed([int(token)]).cpu().expand(shape)


class SurroundingRows(Table):
    """P rows of embeddings, shape `(P, E)`, around text and answer."""

    def __init__(self, rows: Tensor, kind: BackboneKind) -> None:
        super().__init__(rows, "front")
        places = 4 if kind == "encoder" else 2
        least, more = divmod(self.count, places)
        counts = [least + (place < more) for place in range(places)]
        self.around = (*counts, *[0] * (4 - places))


def _moments(context: BuildContext) -> tuple[float, float]:
    """Mean and deviation over all numbers of the vocabulary's vectors, as the model reads them."""
    part, total, square = context.anatomy, 0.0, 0.0
    for ids in pieces(part.vocab_size):
        rows = context.embed(ids).double()
        total += float(rows.sum())
        square += float(rows.square().sum())
    count = part.vocab_size * part.embedding_size
    mean = total / count
    return mean, max(square / count - mean**2, 0.0) ** 0.5
