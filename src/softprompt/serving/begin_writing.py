"""What a prompt is asked to go on with: a task's row in its template, or a text as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError
from softprompt.guards.limits import check_text
from softprompt.guards.tokenizing import token_ids
from softprompt.readouts.build import longest_answer
from softprompt.readouts.free_text import FreeText
from softprompt.serving.served import Served
from softprompt.serving.writing import Wishes, Writing
from softprompt.tasks.text.encoding import affixes

Context: TypeAlias = str | Mapping[str, object] | tuple[int, ...]
USUAL = 128  # tokens of a text for which neither a request nor a task says how many


def writing_of(served: Served, backbone: Backbone, text: Context, wishes: Wishes, most: int | None) -> Writing:
    """A text that a prompt is to write.

    Args:
        served: the prompt.
        backbone: its own.
        text: what it goes on with; fields by name for a task of several, ids for a prompt that knows no task.
        wishes: how.
        most: tokens at most; by default as many as the task's answers have, or `USUAL`.

    Raises:
        SoftPromptError: the row has a fault, or there is no room for so many tokens.
    """
    task, readout = served.prompt.task, served.prompt.readout
    if task is None:
        made = _plain(served, backbone, text, wishes, most)
    elif isinstance(text, tuple):
        raise SoftPromptError(f"model {served.name!r} has a task's template: give a text")
    elif isinstance(readout, FreeText):
        (row,) = task.rows_of([text])
        ids = readout.encode(row).texts[0].ids
        wishes = replace(wishes, most=readout.max_new_tokens if most is None else most + len(readout.lead))
        ends, lead = frozenset([readout.end]), frozenset(readout.lead)
        made = Writing(served, ids, wishes, backbone.tokenizer, ends, lead, bare=True)
    else:
        raise SoftPromptError(f"model {served.name!r} answers with a label: it writes no text of its own")
    _check_room(made, served, backbone)
    return made


def _check_room(made: Writing, served: Served, backbone: Backbone) -> None:
    """Raise `SoftPromptError` where the model has not so many positions; a decoder's are not those of the text."""
    room, most, footprint = backbone.anatomy.max_positions, made.wishes.most, served.prompt.producer.footprint
    if room is None:
        return
    left = room - (made.cost - most)
    if backbone.is_encoder_decoder and left >= 0:
        own = longest_answer(backbone.model, backbone.anatomy, footprint)
        left = most if own is None else own
    if most > left:
        raise SoftPromptError(
            f"max_tokens is {most}, but behind this text there is room for {max(left, 0)}: lower it, or shorten the "
            "text"
        )


def _plain(served: Served, backbone: Backbone, text: Context, wishes: Wishes, most: int | None) -> Writing:
    if isinstance(text, Mapping):
        raise SoftPromptError(f"model {served.name!r} knows no task, so it has no fields: give a text")
    if isinstance(text, str):
        check_text(text, "prompt")
        before, _ = affixes(backbone.tokenizer)
        ids = (*before, *token_ids(backbone.tokenizer, text))
    else:
        ids = text
    if not ids:
        raise SoftPromptError("prompt is empty: give a text to go on with")
    wishes = replace(wishes, most=USUAL if most is None else most)
    return Writing(served, ids, wishes, backbone.tokenizer, _ends(backbone))


def _ends(backbone: Backbone) -> frozenset[int]:
    """The ids that end a text of this model."""
    given = getattr(getattr(backbone.model, "generation_config", None), "eos_token_id", None)
    several = given if isinstance(given, list) else [given, backbone.tokenizer.eos_token_id]
    return frozenset(int(one) for one in several if one is not None)
