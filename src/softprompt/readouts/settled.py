"""What a training settles of its answers before the first step, and what it tells of them.

What was settled is stored: a prompt answers as it was trained, and one of before there was a choice has no end behind
its answers.
"""

from __future__ import annotations

from collections.abc import Sequence

from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError, quoted
from softprompt.readouts.answers import AnswerIds, Ending, beginning, brings_choices, end_token
from softprompt.readouts.base import Item
from softprompt.readouts.spec import ReadoutSpec
from softprompt.tasks.rows import Row
from softprompt.tasks.task import Task


def settled(spec: ReadoutSpec, task: Task, backbone: Backbone) -> ReadoutSpec:
    """The specification with `answer_end` settled, but for choices, which every row brings anew.

    Raises:
        SoftPromptError: an end or a length is asked for where no answers are compared.
    """
    compares = task.kind in ("classification", "choice") and spec.name in ("text", "mask")
    if spec.scoring != "acc" and not compares:
        raise SoftPromptError(
            f"scoring={spec.scoring!r} compares answers by their lengths, and readout {spec.name!r} of a task of the "
            f"kind {task.kind!r} compares none: leave it out"
        )
    if (spec.num_beams, spec.length_penalty) != (1, 1.0) and task.kind != "generation":
        raise SoftPromptError(
            f"num_beams and length_penalty are of texts that are written, and task {task.name!r} is of the kind "
            f"{task.kind!r}: leave them out"
        )
    if spec.name != "text" or not compares:
        if spec.answer_end == "yes":
            raise SoftPromptError(
                f"answer_end: readout {spec.name!r} of a task of the kind {task.kind!r} has no answers behind which an "
                "end token could stand: leave it out"
            )
        return spec.model_copy(update={"answer_end": "no"})
    seq2seq = backbone.is_encoder_decoder
    template = task.template_for("text", seq2seq)
    if spec.answer_end != "auto" or brings_choices(task, template, seq2seq):
        return spec
    tokenizer = backbone.tokenizer
    answers = AnswerIds(tokenizer, template.space_before_answer, seq2seq).of_labels(task)
    ended = Ending("auto", end_token(tokenizer)).behind(answers)[1]
    return spec.model_copy(update={"answer_end": "yes" if ended else "no"})


def needs_end(rows: Sequence[Row]) -> bool:
    """Whether one of a row's choices begins another, as texts are compared: it costs no tokenizing."""
    return any(beginning([tuple(map(ord, choice.casefold())) for choice in row.choices or ()]) for row in rows)


def told_end(items: Sequence[Item], task: Task, rows: str, *, seq2seq: bool) -> list[str]:
    """One line that says behind which answers an end token is scored, and why; none where there are no such.

    Args:
        items: encoded rows.
        task: of the rows.
        rows: what they are called, as `training rows`.
        seq2seq: whether the label words are those of an encoder-decoder.
    """
    ended = [item for item in items if item.ended]
    if not ended:
        return []
    first = ended[0]
    pair = beginning([ids[:-1] for ids in first.targets])
    names = first.row.choices or task.label_words(seq2seq)
    line = f"an end token is scored behind the answers of {len(ended)} of {len(items)} {rows} (answer_end)"
    if pair is None:
        return [line]
    short, long = (quoted(names[place], 40) for place in pair)
    return [f"{line}: {short} begins {long}, which could never win without it"]
