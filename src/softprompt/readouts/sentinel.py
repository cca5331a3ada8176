"""The target that span corruption taught: each answer behind T5's first sentinel.

Lester et al. (2021), section 3.2, "span corruption + sentinel": a T5 that was never adapted to language modelling has
only seen targets that begin with `<extra_id_0>`, so every answer gets it in front; it is taken off decoded text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from softprompt.errors import SoftPromptError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SENTINEL = "<extra_id_0>"


def lead_of(tokenizer: PreTrainedTokenizerBase, readout: str, *, seq2seq: bool, wanted: bool) -> tuple[int, ...]:
    """The ids that stand before every answer: the sentinel's where it is wanted, else none.

    Raises:
        SoftPromptError: the readout decodes no answer, or the tokenizer has no sentinel.
    """
    if not wanted:
        return ()
    if readout not in ("text", "rows") or not seq2seq:
        raise SoftPromptError("sentinel_targets is for text readouts of encoder-decoders (T5): leave it out here")
    found = tokenizer.get_vocab().get(SENTINEL)
    if found is None:
        raise SoftPromptError(f"sentinel_targets: the tokenizer has no {SENTINEL}: leave it out, or take a T5")
    return (int(found),)
