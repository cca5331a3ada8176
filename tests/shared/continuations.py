"""Methods whose texts can be gone on with, and how likely that is by a whole pass over one text alone."""

from __future__ import annotations

import torch

from softprompt.attached.model import PromptedModel
from softprompt.evaluation.harness.asking import Pair

from .prompts import FAMILIES, METHODS

# Every method that a causal model serves, but for those whose virtual tokens are words of templates of their own.
CAUSAL = [name for name, method in METHODS.items() if "llama" in FAMILIES[name] and method.name != "soft_words"]
SEQ2SEQ = [name for name, method in METHODS.items() if "t5" in FAMILIES[name] and method.name != "soft_words"]


def chain(prompted: PromptedModel, pair: Pair) -> tuple[float, bool]:
    """A pair's score by a whole pass over it alone, in which the answer conditions nothing."""
    ids = torch.tensor([[*pair.context, *pair.answer]])
    seen = torch.arange(ids.shape[1])[None] < len(pair.context)
    with torch.no_grad():
        logits = prompted(input_ids=ids, conditioning_mask=seen).logits[0, len(pair.context) - 1 : -1]
    logs, greedy = logits.double().log_softmax(-1), logits.argmax(-1).tolist()
    return sum(float(row[token]) for row, token in zip(logs, pair.answer, strict=True)), greedy == list(pair.answer)
