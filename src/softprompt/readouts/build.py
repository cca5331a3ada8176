"""`build_readout`: how the answers to a task are read off a backbone.

Above tasks and sites, and below whoever runs both: training, storage, evaluation, explain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from softprompt.backbones.anatomy import Anatomy, read_anatomy
from softprompt.errors import SoftPromptError
from softprompt.readouts import Readout, ReadoutOptions, make_readout
from softprompt.sites.producer import Producer
from softprompt.tasks import Task


def has_lm_head(model: Any) -> bool:
    """Whether the model gives vocabulary logits."""
    return getattr(model, "get_output_embeddings", lambda: None)() is not None


def build_readout(task: Task, model: Any, tokenizer: Any, producer: Producer, wishes: dict[str, Any]) -> Readout:
    """The readout of a task on a backbone, on the backbone's device."""
    anatomy = read_anatomy(model)
    config: Any = model.config
    options = ReadoutOptions(
        name=wishes["name"],
        seq2seq=anatomy.kind == "encoder-decoder",
        causal=anatomy.kind == "causal",
        hidden_size=anatomy.hidden_size,
        virtual=producer.count,
        limit=_limit(anatomy, producer, wishes["max_length"]),
        decoder_start=_decoder_start(config) if anatomy.kind == "encoder-decoder" else None,
        has_lm_head=has_lm_head(model),
        loss=wishes["loss"],
        pooling=wishes["pooling"],
        max_new_tokens=wishes["max_new_tokens"],
        sentinel_targets=wishes.get("sentinel_targets", False),
        around=producer.around,
        pool=producer.pool,
        label_rows=lambda labels: label_rows(model, labels),
    )
    readout = make_readout(task, tokenizer, options)
    return readout.to(next(model.parameters()).device)


@torch.no_grad()
def label_rows(model: Any, labels: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
    """The rows `(C, E)` and biases `(C,)` of a language-model head at label words, fp32.

    Args:
        model: with such a head.
        labels: the ids of each label's word; of several the mean is taken.
    """
    head: Any = model.get_output_embeddings()
    weight: Tensor = head.weight
    # BART's bias is no part of its head.
    biases = [
        part for part in (getattr(head, "bias", None), getattr(model, "final_logits_bias", None)) if part is not None
    ]
    rows = weight.new_zeros(len(labels), weight.shape[1], dtype=torch.float32)
    bias = rows.new_zeros(len(labels))
    for index, label in enumerate(labels):
        ids = torch.tensor(label, device=weight.device)
        rows[index] = weight[ids].float().mean(0)
        bias[index] = sum(part.flatten()[ids].float().mean() for part in biases)
    return rows, bias


def _limit(anatomy: Anatomy, producer: Producer, max_length: int) -> int:
    positions = anatomy.max_positions
    return max_length if positions is None else min(max_length, positions - producer.prefix)


def _decoder_start(config: Any) -> int:
    start = getattr(config, "decoder_start_token_id", None)
    if start is None:
        raise SoftPromptError(
            f"the backbone ({config.model_type}) has no decoder_start_token_id in its config: set it, or use "
            "readout='head'"
        )
    return int(start)
