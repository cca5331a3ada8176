"""Answers that go on with a text, teacher-forced: the batch in which a model scores each of their tokens.

B sequences, N columns, A tokens of the longest answer, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from softprompt.readouts.answers import Ids
from softprompt.readouts.base import Batch, inputs
from softprompt.sites.attached import Attached, Rows
from softprompt.tasks.text.encoding import pad


def behind_texts(sequences: Sequence[Ids], starts: Sequence[int], goal: Tensor, filler: int) -> Batch:
    """Of a causal model: each answer stands behind its text, and the text alone may condition a prompt.

    Args:
        sequences: texts with their answers, whose last token may be left out.
        starts: the column of each answer's first token.
        goal: the answers' ids, `(B, A)`, padded on the right.
        filler: the padding id.
    """
    ids, mask = pad(sequences, filler)
    first = torch.tensor(starts)[:, None]
    # The token at a column is predicted one column before it.
    columns = (first - 1 + torch.arange(goal.shape[1])[None, :]).clamp(max=ids.shape[1] - 1)
    conditioning = torch.arange(ids.shape[1])[None, :] < first
    return {"input_ids": ids, "attention_mask": mask, "columns": columns, "conditioning_mask": conditioning}


def in_decoder(texts: Sequence[Ids], goal: Tensor, filler: int, decoder_start: int) -> Batch:
    """Of an encoder-decoder: its decoder reads the answers, each moved on by the id that it begins with.

    Args:
        texts: what the encoder reads.
        goal: the answers' ids, `(B, A)`, padded on the right.
        filler: the padding id.
        decoder_start: the first id of the decoder.
    """
    ids, mask = pad(texts, filler)
    start = torch.full_like(goal[:, :1], decoder_start)
    columns = torch.arange(goal.shape[1]).expand(len(texts), -1)
    decoder_ids = torch.cat([start, goal[:, :-1]], dim=1)
    return {"input_ids": ids, "attention_mask": mask, "columns": columns, "decoder_input_ids": decoder_ids}


def answer_logits(prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
    """The logits from which each answer's tokens are read, fp32, `(B, A, V)`."""
    given = inputs(prompted, batch, prompts)
    if "decoder_input_ids" in batch:
        given["decoder_input_ids"] = batch["decoder_input_ids"]
    logits: Tensor = prompted(**given, positions=batch["columns"], use_cache=False).logits
    return logits.float()
