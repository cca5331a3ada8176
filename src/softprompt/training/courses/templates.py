"""Templates in the hands of a course: another one for a task, and plain words in the place of virtual tokens."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from transformers import PreTrainedTokenizerBase

from softprompt.readouts import Readout
from softprompt.tasks import Task, Template
from softprompt.tasks.text.encoding import RowEncoder
from softprompt.tasks.text.template import Literal, Mask, Part, PromptSlot


def row_encoder_of(readout: Readout) -> RowEncoder:
    """What encodes a readout's rows, of a readout that reads one template."""
    own = getattr(readout, "row_encoder", None)
    assert isinstance(own, RowEncoder), f"readout {readout.name!r} does not read one template"
    return own


def template_of(readout: Readout) -> Template:
    """The template that a readout reads."""
    return row_encoder_of(readout).template


def retemplated(task: Task, template: str) -> Task:
    """The task under one other template for every readout.

    Raises:
        SoftPromptError: the template does not fit the task's fields.
    """
    return Task(**{**task.model_dump(mode="json"), "template": template, "templates": {}})


def in_words(task: Task, template: str) -> Task:
    """The task under a template, or in the words and with the label words of one of its patterns by name."""
    return retemplated(task, template) if "{" in template else task.with_template(template)


def spliced(template: Template, ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> Template:
    """The template with the words of token ids in the places of its virtual tokens.

    A space stands between these words and text that follows them without one.
    """
    counts = [len(ids) if slot.count is None else slot.count for slot in template.slots]
    spans = pairwise(accumulate(counts, initial=0))
    parts: list[Part] = []
    for index, part in enumerate(template.parts):
        if not isinstance(part, PromptSlot):
            parts.append(part)
            continue
        start, end = next(spans)
        words = str(tokenizer.decode(list(ids[start:end]), clean_up_tokenization_spaces=False))
        after = template.parts[index + 1] if index + 1 < len(template.parts) else None
        joined = after is None or isinstance(after, Mask) or (isinstance(after, Literal) and after.text[:1].isspace())
        parts.append(Literal(words if joined else words + " "))
    return Template(tuple(parts))
