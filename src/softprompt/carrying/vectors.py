"""What of a prompt is the same for every text, and so can be written down for a program that knows no method.

The clauses tell why something is not; they go on after a colon.
"""

from __future__ import annotations

import torch
from torch import Tensor

from softprompt.sites.key_values import key_values
from softprompt.sites.modes import evaluating
from softprompt.sites.producer import Producer
from softprompt.storage.prompt import Prompt
from softprompt.storage.vectors import input_rows
from softprompt.tasks.text.encoding import RowEncoder


def static_refusal(prompt: Prompt) -> str | None:
    """Why a prompt's vectors are not the same for every text."""
    own, producer = prompt.producer.footprint, prompt.producer
    if producer.stand_ins(prompt.model):
        return "it works in the backbone's own weights"
    if not (own.count or own.joins):
        return "it has no vectors in the input or in attention"
    if type(producer).shift_text is not Producer.shift_text:
        return "it moves the embeddings of each text"
    if own.count and not own.static:
        return "it makes its vectors of each text"
    return None


def stream_refusal(prompt: Prompt) -> str | None:
    """Why a prompt is not rows in the input alone, the same for every text."""
    own = prompt.producer.footprint
    if own.joins:
        return "it has keys and values in the layers"
    if own.hidden_layers:
        return "it writes vectors into the layers"
    return static_refusal(prompt)


def place_refusal(prompt: Prompt) -> str | None:
    """Why a prompt's virtual tokens do not stand in front of all else."""
    own, encoder = prompt.producer.footprint, getattr(prompt.readout, "row_encoder", None)
    if own.pool or own.around or (own.count and own.placement != "front"):
        return "its virtual tokens stand elsewhere than in front of the text"
    if own.count and isinstance(encoder, RowEncoder) and encoder.template.slots:
        return "its template puts the virtual tokens elsewhere than in front of the text"
    return None


def stream_rows(prompt: Prompt) -> Tensor:
    """The rows of a prompt that `stream_refusal` lets pass, as the input embedding gives them: fp32, `(P, E)`."""
    rows = input_rows(prompt.producer, prompt.backbone.anatomy.embedding_size)
    assert rows is not None
    return rows


def prefix_refusal(prompt: Prompt) -> str | None:
    """Why a prompt is not keys and values of the body's self-attention alone, a like number in every layer."""
    own, producer = prompt.producer.footprint, prompt.producer
    if not own.prefix or own.count:
        return "it is no prefix of keys and values"
    if own.decoder_prefix or own.cross_prefix or prompt.backbone.is_encoder_decoder:
        return "its keys and values stand in an encoder, too"
    if producer.prefix_values() is not None:
        return "its layers weigh their prefixes"
    if any(keys.shape[1] != own.prefix for keys, _ in pairs_of(prompt)):
        return "it has keys and values in some layers alone"
    sources = key_values(prompt.backbone.anatomy).sources
    if any(source != layer for layer, source in enumerate(sources)):
        return "layers of this family take the keys and values of others"
    return static_refusal(prompt)


@torch.no_grad()
def pairs_of(prompt: Prompt) -> list[tuple[Tensor, Tensor]]:
    """Each layer's keys and values, `(K, P, D)`, fp32 on the CPU."""
    with evaluating(prompt.producer):
        return [(keys.float().cpu(), values.float().cpu()) for keys, values in prompt.producer.keys_values()]
