"""`build_readout`: how the answers to a task are read off a backbone."""

from __future__ import annotations

from functools import partial

from torch import nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.backbone import Backbone
from softprompt.backbones.heads import label_rows
from softprompt.errors import SoftPromptError
from softprompt.readouts.base import Readout
from softprompt.readouts.choose import make_readout
from softprompt.readouts.context import ReadoutContext
from softprompt.readouts.free_text import FreeText
from softprompt.readouts.spec import ReadoutSpec
from softprompt.sites.footprint import Footprint
from softprompt.sites.producer import Producer
from softprompt.tasks.task import Task


def build_readout(task: Task, backbone: Backbone, producer: Producer, spec: ReadoutSpec) -> Readout:
    """The readout of a task on a backbone, on the backbone's device.

    Raises:
        SoftPromptError: the backbone or the task cannot serve it; the message says what can.
    """
    anatomy, footprint = backbone.anatomy, producer.footprint
    context = ReadoutContext(
        spec,
        backbone.tokenizer,
        anatomy.kind,
        anatomy.hidden_size,
        anatomy.vocab_size,
        _limit(anatomy, footprint, spec.max_length),
        decoder_start_of(backbone.model) if anatomy.kind == "encoder-decoder" else None,
        backbone.has_lm_head,
        partial(label_rows, backbone.model),
        footprint.count,
        footprint.around,
        footprint.pool,
        longest_answer=longest_answer(backbone.model, anatomy, footprint),
        behind=anatomy.kind == "causal" and footprint.count > 0 and footprint.placement == "end",
    )
    return make_readout(task, context).to(backbone.device)


def rebuilt(own: Readout, task: Task, backbone: Backbone, producer: Producer, spec: ReadoutSpec) -> Readout:
    """A trained readout for another prompt: what is trained or stored of it stays, and its rows make other room.

    Args:
        own: the readout.
        task: its task, with templates for the other prompt's virtual tokens.
        backbone: its backbone.
        producer: the other prompt.
        spec: what it was built from.
    """
    made = build_readout(task, backbone, producer, spec)
    stored = own.stored()
    if stored:
        made.load_stored(stored)
    made.seen = own.seen
    if isinstance(own, FreeText) and isinstance(made, FreeText):
        made.beams = own.beams
    return made


def _limit(anatomy: Anatomy, footprint: Footprint, max_length: int) -> int:
    positions = anatomy.max_positions
    return max_length if positions is None else min(max_length, positions - footprint.prefix)


def longest_answer(model: nn.Module, anatomy: Anatomy, footprint: Footprint) -> int | None:
    """How many tokens the decoder of an encoder-decoder has positions for; None for any, or another model."""
    own: int | None = getattr(model.config, "max_decoder_position_embeddings", None)  # LED's, whose encoder has more
    positions = own or anatomy.max_positions
    return positions - footprint.prefix if anatomy.kind == "encoder-decoder" and positions is not None else None


def decoder_start_of(model: nn.Module) -> int:
    """The id with which an encoder-decoder's decoder begins.

    Raises:
        SoftPromptError: its configuration names none.
    """
    config = model.config
    start: int | None = getattr(config, "decoder_start_token_id", None)
    if start is None:
        raise SoftPromptError(
            f"the backbone ({getattr(config, 'model_type', '')}) has no decoder_start_token_id in its config: set it, "
            "or use readout='head'"
        )
    return start
