r"""Prefix-Tuning: keys and values in front of every layer's own, made by a perceptron while they are trained.

Li, Liang, "Prefix-Tuning: Optimizing Continuous Prompts for Generation", ACL 2021, <https://arxiv.org/abs/2101.00190>.

    h_i = P_theta[i],  i in prefix;    P_theta[i] = MLP(P'_theta[i]),  P' in R^{P x d}
    MLP: Linear(d, m) -> tanh -> [Linear(m, m) -> tanh ->] Linear(m, 2 N d_kv)

Site `attention`. P_theta[i], seen as (2N, K, D), holds N pairs (key, value). Decoder-only models and encoders have one
prefix. An encoder-decoder has three, each with a table and a perceptron of its own: the encoder's self-attention, the
decoder's self-attention and its cross-attention (official code for BART). Trained, for each of them,
P d + m (d + 1) + (m + 1) 2 N d_kv scalars; stored 2 N P d_kv, since the perceptron is dropped.

P' starts from N(0, 1) (torch's embedding in the official code). `init="words"` starts from the keys and values that
the frozen model makes of real words: the perceptron is fitted to them (Adam, 1e-4, 500 steps, P' at rest, as in the
code), or with `reparametrise=False` they are the first values.

On a decoder-only model the prefix is the past that the official code hands over as `past_key_values` (see
`p_tuning_v2`).

Decided here: the words are those of `init_text`, or else the task's label words, repeated or cut to P; without a
perceptron random values start from N(0, 0.02^2); T5 gets three prefixes as BART does, with a relative-position bias of
zero; text starts at position P on decoder-only models and encoders (GPT-2's code), at 0 in encoder and decoder of an
encoder-decoder (BART's code).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.errors import SoftPromptError
from softprompt.methods.base import BuildContext, Method, Needs, Recipe
from softprompt.methods.parts import tables
from softprompt.methods.parts.encoders import initialised, perceptron
from softprompt.methods.parts.prefixes import KeysValues, Prefixes, Stack, stacks, words_keys_values
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer


@register
class PrefixTuning(Method):
    """Trained activations in front of every layer's own (Li and Liang, 2021)."""

    name: ClassVar[str] = "prefix_tuning"
    title: ClassVar[str] = "Prefix-Tuning: Optimizing Continuous Prompts for Generation"
    url: ClassVar[str] = "https://arxiv.org/abs/2101.00190"
    site: ClassVar[str] = "attention"
    evidence: ClassVar[str] = "full text and official code; T5 is our extension"
    needs: ClassVar[Needs] = {
        "encoder_hidden_size": ("reparametrise", True),
        "deeper": ("reparametrise", True),
        "init_text": ("init", ("words",)),
        "fit_steps": ("init", ("words",)),
        "fit_rate": ("init", ("words",)),
    }
    recipes: ClassVar[dict[str, Recipe]] = {
        "gpt2": Recipe(
            5e-5,
            "the paper, table 5, on tens of thousands of rows; with few rows raise it",
            epochs=5,
            measured_on=("gpt2",),
        ),
        "bart": Recipe(
            5e-5, "the paper, table 5: XSum, 200,000 rows; with few rows raise it", epochs=30, measured_on=("bart",)
        ),
        "default": Recipe(
            1e-3,
            "our choice: on a Llama of 260K parameters 1e-4 learned less and 5e-3 failed (one seed)",
            measured_on=("llama",),
        ),
    }

    num_virtual_tokens: int = Field(10, ge=1, description="P, the prefix (the paper: 10 for tables, 200 for summaries)")
    reparametrise: bool = Field(True, description="make it with a perceptron while training")
    encoder_hidden_size: int = Field(512, ge=1, description="m, the width of that perceptron (XSum: 800)")
    deeper: bool = Field(False, description="a second tanh layer of width m in the perceptron")
    init: Literal["random", "words"] = Field("random", description="where the first keys and values come from")
    init_text: str | None = Field(None, description="the words of init='words'; by default the task's label words")
    init_std: float | None = Field(
        None, ge=0, description="standard deviation of random first values; by default 1 of P', 0.02 without perceptron"
    )
    fit_steps: int = Field(500, ge=1, description="steps in which the perceptron is fitted to the words")
    fit_rate: float = Field(1e-4, gt=0, description="learning rate of these steps")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout on keys and values")

    def build(self, context: BuildContext) -> Producer:
        """Make a table and a perceptron for each place, fp32."""
        words = words_keys_values(self._words(context), context) if self.init == "words" and not context.blank else {}
        made = {place: self._made(stack, words.get(place), context) for place, stack in stacks(context.anatomy).items()}
        shift = context.anatomy.kind != "encoder-decoder"
        return Prefixes(made["body"], made.get("decoder"), made.get("cross"), shift=shift)

    def refusal(self, anatomy: Anatomy) -> str | None:
        """An encoder-decoder needs all three places."""
        if anatomy.kind == "encoder-decoder" and not anatomy.decoder_layers:
            return "its decoder does not attend to an encoder as T5's and BART's do; use p_tuning_v2"
        return super().refusal(anatomy)

    def _made(self, stack: Stack, words: Tensor | None, context: BuildContext) -> KeysValues:
        width = context.anatomy.hidden_size
        if context.blank or not self.reparametrise:
            shape = (self.num_virtual_tokens, stack.flat)
            table = tables.normal(shape, self._std(0.02), context) if words is None else words
            return KeysValues(stack, table, None, self.dropout)
        table = tables.normal((self.num_virtual_tokens, width), self._std(1.0), context)
        made = KeysValues(stack, table, self._perceptron(width, stack.flat, context), self.dropout)
        if words is not None:
            made.fit(words, self.fit_steps, self.fit_rate)
        return made

    def _perceptron(self, inputs: int, outputs: int, context: BuildContext) -> nn.Sequential:
        width = self.encoder_hidden_size
        if not self.deeper:
            return perceptron(inputs, width, outputs, nn.Tanh(), context)
        sizes = ((inputs, width), (width, width), (width, outputs))
        one, two, three = (initialised(nn.Linear(*size), context) for size in sizes)
        return nn.Sequential(one, nn.Tanh(), two, nn.Tanh(), three)

    def _std(self, default: float) -> float:
        return default if self.init_std is None else self.init_std

    def _words(self, context: BuildContext) -> list[int]:
        """The ids of P words."""
        text = self.init_text or " ".join(context.label_words)
        if not text:
            raise SoftPromptError("init='words' needs words, and the task has no label words: set init_text")
        ids = context.tokens(text)
        return (ids * -(-self.num_virtual_tokens // len(ids)))[: self.num_virtual_tokens]
