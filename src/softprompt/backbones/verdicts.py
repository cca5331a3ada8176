"""What a trial's findings say of a body, or why it cannot be served."""

from __future__ import annotations

from typing import Literal

from transformers import PreTrainedConfig, PreTrainedModel

from softprompt.backbones.facts import UNSERVED
from softprompt.backbones.positions import position_table
from softprompt.backbones.probe import Behaviour
from softprompt.backbones.structure import is_sketch
from softprompt.errors import SoftPromptError


def kind_of(family: str, found: Behaviour) -> Literal["causal", "encoder"]:
    """A body of which no token sees a later one is a decoder-only model."""
    if family in UNSERVED:
        raise SoftPromptError(f"family {family!r} cannot be prompted: {UNSERVED[family]}")
    if found.causal is None:
        raise SoftPromptError(
            f"family {family!r}: whether its tokens see later ones cannot be told ({found.why}): "
            "describe it with softprompt.register_anatomy"
        )
    return "causal" if found.causal else "encoder"


def offset_of(body: PreTrainedModel, family: str, found: Behaviour) -> int:
    """Positions that are relative have none; of those of a table it must be known, by a model that can answer."""
    told = found.offset is not None or is_sketch(body)
    if not told and (not found.why or position_table(body) is not None):
        raise SoftPromptError(
            f"family {family!r}: which position its first token has cannot be told "
            f"({found.why or 'it is none that position_ids give'}): describe it with softprompt.register_anatomy"
        )
    return found.offset or 0


def most_positions(config: PreTrainedConfig, found: Behaviour) -> int | None:
    """How many tokens there are positions for: a table's rows, else what the configuration says; XLNet's -1 is none."""
    told = getattr(config, "max_position_embeddings", None)
    return found.positions or (told if isinstance(told, int) and told > 0 else None)
