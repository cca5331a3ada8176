r"""The trainable instruction: the embeddings of the task's own words become trainable.

A configuration of ours. Its precedents: Lester et al., "The Power of Scale for Parameter-Efficient Prompt Tuning",
EMNLP 2021, <https://arxiv.org/abs/2104.08691>, whose code starts a prompt from the embeddings of a string.

    ids = tokens(text), k of them;   Q in R^{k x e} starts as E[ids] and is trained
    input = [Q; e(x)];   loss = task loss + lambda |Q - E[ids]|_F^2 / k

Site `stream`: before the first step the output is that of the text itself, written into the input. With `prefix` it
stands behind P trained keys and values in every layer of the body, R^{P x 2 N d_kv}: the configuration "instruction +
prefix", in which prompt vectors and task text are trained together. It is not the P-Tuning v2 of the paper, which
trains no words and reads a linear head. Trained and stored: k e (+ 2 N P d_kv) scalars.

Decided here, since no paper sets it: lambda is 0 unless `pull` is given; the words stand after the special token that
opens a text, where the tokenizer puts one, as they would if they were written there.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.guards.tokenizing import tokenise
from softprompt.methods.base import BuildContext, Method, Needs, Recipe
from softprompt.methods.parts import tables
from softprompt.methods.parts.prefixes import KeysValues, stacks
from softprompt.methods.registry import register
from softprompt.sites.attention import Pairs
from softprompt.sites.layout import Placement
from softprompt.sites.producer import Producer, View


@register
class Instruction(Method):
    """A task text whose words are trained, alone or behind a trained prefix (our configuration)."""

    name: ClassVar[str] = "instruction"
    title: ClassVar[str] = "The Power of Scale for Parameter-Efficient Prompt Tuning (prompts from a string)"
    url: ClassVar[str] = "https://arxiv.org/abs/2104.08691"
    site: ClassVar[str] = "stream"
    evidence: ClassVar[str] = "our configuration; no paper describes it"
    needs: ClassVar[Needs] = {"init_std": ("prefix", True)}
    recipes: ClassVar[dict[str, Recipe]] = {
        "encoder-decoder": Recipe(
            0.3, "Prompt Tuning's: Lester et al. 2021", optimizer="adafactor", schedule="constant", measured_on=()
        ),
        "default": Recipe(0.03, "our choice: Prompt Tuning's, which was measured on Gemma 3 270M", measured_on=()),
    }

    text: str = Field(
        "Classify the text.\n", min_length=1, description="the instruction, with what parts it from the text behind"
    )
    pull: float = Field(0.0, ge=0, description="lambda, the pull of each row towards its word")
    prefix: int = Field(0, ge=0, description="P, trained keys and values in every layer (instruction + prefix)")
    init_std: float = Field(0.02, ge=0, description="standard deviation of the first keys and values")
    placement: Literal["auto", "front", "after_bos", "end"] = Field(
        "auto", description="where the words stand if no {prompt} says; auto: after the token that opens a text"
    )

    def build(self, context: BuildContext) -> Producer:
        """Make the words' table, `(k, E)`, and the keys and values beside it, `(P, 2 N K D)`, fp32."""
        words = context.rows(context.tokens(self.text))
        placement = _placement(context) if self.placement == "auto" else self.placement
        return InstructionWords(words, placement, self.pull, self._keys(context) if self.prefix else None)

    def _keys(self, context: BuildContext) -> KeysValues:
        stack = stacks(context.anatomy)["body"]
        return KeysValues(stack, tables.normal((self.prefix, stack.flat), self.init_std, context), None)


class InstructionWords(Producer):
    """The rows of an instruction, `(k, E)`, and keys and values beside them.

    Attributes:
        table: the rows.
        start: the embeddings of the words that they began as.
        keys: the keys and values, or None.
    """

    static = True

    def __init__(self, words: Tensor, placement: Placement, pull: float, keys: KeysValues | None) -> None:
        super().__init__()
        self.table = nn.Parameter(words.clone())
        self.start = nn.Buffer(words.clone(), persistent=False)
        self.keys = keys
        self.pull = pull
        self.placement = placement
        self.count = words.shape[0]
        self.prefix = 0 if keys is None else keys.table.shape[0]

    def embed(self, view: View) -> Tensor:
        """The rows, `(k, E)`."""
        return self.table

    def keys_values(self) -> Pairs:
        """For each layer keys and values, each `(K, P, D)`."""
        return super().keys_values() if self.keys is None else self.keys.pairs()

    def penalty(self) -> Tensor | None:
        """The pull, lambda |Q - E[ids]|_F^2 / k."""
        return self.pull * (self.table - self.start).square().sum() / self.count if self.pull else None

    @torch.no_grad()
    def stored(self) -> dict[str, Tensor]:
        """The rows, and the keys and values as `prefix`."""
        beside = {} if self.keys is None else {"prefix": self.keys.made().detach()}
        return {"table": self.table.detach(), **beside}

    def load_stored(self, tensors: dict[str, Tensor]) -> None:
        """Take what `stored` gave; the words that the rows began as stay those of the text."""
        self.table = nn.Parameter(tensors["table"].clone())
        if self.keys is not None:
            self.keys.use(tensors["prefix"])


def _placement(context: BuildContext) -> Placement:
    """After the special token with which a tokenizer opens a text, or in front where it has none."""
    tokenizer = context.tokenizer
    assert tokenizer is not None  # the words could not have been read without one
    full, bare = tokenise(tokenizer, "a")["input_ids"], tokenise(tokenizer, "a", add_special_tokens=False)["input_ids"]
    return "front" if full[:1] == bare[:1] else "after_bos"
