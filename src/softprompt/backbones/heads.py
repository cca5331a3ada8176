"""The head of a language model, and what answers can be read off.

A readout's name and the place that a linear head reads stand here because methods prefer one and readouts have it, and
neither room knows the other; which names there are is known to `softprompt.readouts.registry`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from softprompt.backbones.packed import is_packed, rows_by_calling
from softprompt.backbones.resting import device_of, own_numbers
from softprompt.backbones.within import gives_logits_of, language_model
from softprompt.errors import SoftPromptError

ReadoutName: TypeAlias = str
Pooling: TypeAlias = Literal["first", "last", "mean"]


def usual_pooling(*, causal: bool) -> Pooling:
    """Where a linear head reads when nobody says otherwise: the last token sees all others of a causal model."""
    return "last" if causal else "mean"


def lm_head(model: nn.Module) -> nn.Module | None:
    """The matrix that gives vocabulary logits; None where a model has none, and where what wraps one gives others."""
    read = getattr(model, "get_output_embeddings", None)
    head: nn.Module | None = None if read is None else read()
    part = language_model(model) if head is None else None
    return head if part is None or not gives_logits_of(model, part) else part.get_output_embeddings()


def has_lm_head(model: nn.Module) -> bool:
    """Whether the model gives vocabulary logits."""
    return lm_head(model) is not None


@torch.no_grad()
def label_rows(model: nn.Module, labels: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
    """The rows `(C, E)` and biases `(C,)` of a language-model head at label words, fp32.

    Args:
        model: with such a head.
        labels: the ids of each label's word; of several the mean is taken.
    """
    head = lm_head(model)
    assert head is not None
    if is_packed(head):
        return _by_calling(model, head, labels)
    weight = own_numbers(head, "weight")
    # BART's bias is no part of its head.
    own = (getattr(head, "bias", None), getattr(model, "final_logits_bias", None))
    biases = [part.flatten() for part in own if isinstance(part, Tensor)]
    rows = weight.new_zeros(len(labels), weight.shape[1], dtype=torch.float32)
    bias = rows.new_zeros(len(labels))
    for index, label in enumerate(labels):
        ids = torch.tensor(label, device=weight.device)
        rows[index] = weight[ids].float().mean(0)
        bias[index] = sum(part[ids].float().mean() for part in biases)
    return rows, bias


def _by_calling(model: nn.Module, head: nn.Module, labels: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
    """`label_rows` of a quantised head, whose own numbers are codes."""
    words = [word for label in labels for word in label]
    width = getattr(head, "in_features", None)
    dtype = next(one.dtype for one in model.parameters() if one.is_floating_point())
    if not isinstance(width, int):
        raise SoftPromptError(f"the language-model head ({type(head).__name__}) is quantised: load it unquantised")
    like = torch.empty(0, dtype=dtype, device=device_of(head))
    rows, biases = rows_by_calling(head, words, width, like)
    further = getattr(model, "final_logits_bias", None)
    biases = biases + further.flatten()[words].float() if isinstance(further, Tensor) else biases
    parts = [len(label) for label in labels]
    means = [(row.mean(0), bias.mean()) for row, bias in zip(rows.split(parts), biases.split(parts), strict=True)]
    return torch.stack([row for row, _ in means]), torch.stack([bias for _, bias in means])
