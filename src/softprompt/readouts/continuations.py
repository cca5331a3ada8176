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

_PIECE = 16  # columns of a vocabulary at a time


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
    """The logits from which each answer's tokens are read, `(B, A, V)`."""
    given = inputs(prompted, batch, prompts)
    if "decoder_input_ids" in batch:
        given["decoder_input_ids"] = batch["decoder_input_ids"]
    columns, seen = batch["columns"], batch.get("target_mask")
    if seen is not None:  # where no token is wanted, the column of one that is costs the head nothing
        columns = torch.where(seen.bool(), columns, columns[:, :1])
    logits: Tensor = prompted(**given, positions=columns, use_cache=False).logits
    return logits


def read_off(logits: Tensor, targets: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """The logit of each target token, and log Z of the vocabulary there: fp32, `(B, A)`, anything where none is seen.

    Where nothing is trained, a few columns at a time: all of them in fp32 are as much memory as a small model.

    Args:
        logits: `(B, A, V)`.
        targets: ids, `(B, A)`.
        seen: 1 at target tokens, `(B, A)`.
    """
    if logits.requires_grad:
        whole = logits.float()
        return whole.gather(-1, targets[..., None])[..., 0], whole.logsumexp(-1)
    chosen, log_z = torch.zeros(2, seen.numel(), device=logits.device)
    for columns in seen.view(-1).nonzero()[:, 0].split(_PIECE):
        rows = logits.view(-1, logits.shape[-1])[columns].float()
        chosen[columns] = rows.gather(-1, targets.view(-1)[columns, None])[:, 0]
        log_z[columns] = rows.logsumexp(-1)
    return chosen.view_as(targets), log_z.view_as(targets)
