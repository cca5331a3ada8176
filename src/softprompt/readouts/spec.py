"""`ReadoutSpec`: how the answers of a prompt are read, as the user chose it and as `prompt.json` holds it."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from softprompt.readouts.answers import AnswerEnd
from softprompt.readouts.registry import KnownReadout
from softprompt.tasks.text.truncation import Truncation

MOST_BEAMS = 1000  # each is a sequence of its own
LossName: TypeAlias = Literal["auto", "labels", "vocabulary"]
PoolingName: TypeAlias = Literal["auto", "first", "last", "mean"]
Scoring: TypeAlias = Literal["acc", "acc_norm"]  # the names of lm-evaluation-harness


class ReadoutSpec(BaseModel):
    """A readout and its options; the options of training have the same names.

    Attributes:
        name: which readout.
        loss: `labels`, `vocabulary`, or `auto`: labels where every label is one token, a choice, at masks or has an
            end token behind it, else vocabulary.
        pooling: of a head; `auto` is `last` on causal models and `mean` elsewhere.
        max_length: most columns of a row, virtual tokens and answer among them.
        max_new_tokens: longest free answer.
        sentinel_targets: answers stand behind T5's first sentinel.
        truncation: which part of a too long text is left out; not written where it is the end, as ever.
        answer_end: whether an end token is scored behind the answers that are compared; `auto` where one of a row's
            choices begins another. Not written where there is none, as ever.
        scoring: whether answers are compared by their log-likelihood, or by that of a character; not written where it
            is the first, as ever.
        z_loss: the weight of log(Z)^2 in a training loss over the vocabulary; not written where it is 0, as ever.
        num_beams: how many beginnings of a free answer are kept while it is written; one is greedy. Not written there,
            as ever.
        length_penalty: of beams, to which power the length divides a text's log-likelihood; not written where it is 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: KnownReadout
    loss: LossName
    pooling: PoolingName
    max_length: int = Field(ge=1, le=1 << 24)
    max_new_tokens: int = Field(ge=1, le=1 << 24)
    sentinel_targets: bool = False
    truncation: Truncation = Field("end", exclude_if=lambda side: side == "end")
    answer_end: AnswerEnd = Field("no", exclude_if=lambda when: when == "no")
    scoring: Scoring = Field("acc", exclude_if=lambda scoring: scoring == "acc")
    z_loss: float = Field(0.0, ge=0, exclude_if=lambda weight: weight == 0)
    num_beams: int = Field(1, ge=1, le=MOST_BEAMS, exclude_if=lambda beams: beams == 1)
    length_penalty: float = Field(1.0, exclude_if=lambda power: power == 1)
