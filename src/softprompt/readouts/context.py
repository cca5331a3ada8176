"""What a readout may look at when it is built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from torch import Tensor

from softprompt.backbones.anatomy import BackboneKind
from softprompt.readouts.answers import NO_END, Ending, end_token
from softprompt.readouts.spec import ReadoutSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

LabelRowsOf: TypeAlias = Callable[[Sequence[tuple[int, ...]]], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class ReadoutContext:
    """The backbone, the prompt and what the user chose.

    Attributes:
        spec: what the user chose.
        tokenizer: the backbone's.
        kind: of backbone.
        hidden_size: H.
        vocab_size: V, of the model's own tokens.
        limit: most columns of a sequence, answers included.
        decoder_start: first id of an encoder-decoder's decoder, else None.
        has_lm_head: whether the backbone gives vocabulary logits.
        label_rows: for ids of label words, one sequence a label, the rows `(C, E)` and the biases `(C,)` of the
            language-model head, fp32; the mean over several tokens.
        virtual: P of the prompt.
        around: how many virtual tokens stand at the four places around text and answer; see `Footprint`.
        behind: whether they stand behind the text, of which no column of a causal model then sees them.
        pool: templates whose own words are the virtual tokens; see `Footprint`.
        lead: the ids that stand before every answer: T5's sentinel where it is wanted.
        words: of the one member of a pool that is being built: its words and the rank of the first.
        longest_answer: how many tokens an encoder-decoder's decoder has positions for, or None where any number.
    """

    spec: ReadoutSpec
    tokenizer: PreTrainedTokenizerBase
    kind: BackboneKind
    hidden_size: int
    vocab_size: int
    limit: int
    decoder_start: int | None
    has_lm_head: bool
    label_rows: LabelRowsOf
    virtual: int
    around: tuple[int, ...] = ()
    pool: tuple[tuple[str, tuple[int, ...]], ...] = ()
    lead: tuple[int, ...] = ()
    words: tuple[tuple[int, ...], int] | None = None
    longest_answer: int | None = None
    behind: bool = False

    @property
    def seq2seq(self) -> bool:
        """Whether the backbone is an encoder-decoder."""
        return self.kind == "encoder-decoder"

    @property
    def causal(self) -> bool:
        """Whether the backbone is decoder-only."""
        return self.kind == "causal"

    @property
    def ending(self) -> Ending:
        """Where an end token belongs behind answers that are compared: nowhere at masks (see `masks`)."""
        return NO_END if self.kind == "encoder" else Ending(self.spec.answer_end, end_token(self.tokenizer))

    @property
    def filler(self) -> int:
        """The padding id, 0 where the tokenizer has none."""
        return int(self.tokenizer.pad_token_id or 0)
