"""The template that a readout needs, of those that a task gives."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeAlias

from softprompt.errors import SoftPromptError
from softprompt.tasks.text.template import CHOICE, Mask, Part, Template
from softprompt.tasks.text.template import Literal as Fixed

TemplateName: TypeAlias = Literal["text", "mask", "head"]
TemplateKey: TypeAlias = Literal[TemplateName, "seq2seq"]  # of a task's own templates: T5's text may be another


@lru_cache(maxsize=256)
def template_for(source: str, overrides: tuple[tuple[str, str], ...], readout: TemplateName, seq2seq: bool) -> Template:
    """The parsed template of a readout; see `Task.template_for`.

    Args:
        source: the task's template.
        overrides: pairs of the task's `templates`.
        readout: what reads the answer.
        seq2seq: whether the model is a sequence-to-sequence one.

    Raises:
        SoftPromptError: the template cannot serve the readout.
    """
    own = dict(overrides).get("seq2seq" if readout == "text" and seq2seq else readout)
    template = Template.parse(own if own is not None else source)
    if readout == "head":
        return _head(template, own is not None)
    if readout == "mask":
        if not template.has_mask:
            raise SoftPromptError(f"template {str(template)!r} has no {{mask}}, and a mask readout needs one")
        return template
    return template if template.has_choice else _text(template, seq2seq)


def _head(template: Template, own: bool) -> Template:
    if not own:
        names = (*template.fields, *([CHOICE] if template.has_choice else []))
        return Template.parse("{sep}".join("{" + name + "}" for name in names))
    if template.has_mask:
        raise SoftPromptError(
            f"template {str(template)!r} is for a head, which reads no {{mask}}; take it out, or another template"
        )
    return template


def _text(template: Template, seq2seq: bool) -> Template:
    parts = template.parts
    if template.has_mask and not isinstance(parts[-1], Mask):
        raise SoftPromptError(
            f"template {str(template)!r} goes on after {{mask}}, and a text readout answers at the end; "
            "give it one that ends with {mask}, as templates={'text': ...}"
        )
    if seq2seq:
        return Template(without_answer(parts)) if template.has_mask else template
    if template.has_mask:
        return template
    last = parts[-1]
    spaced = isinstance(last, Fixed) and last.text[-1:].isspace()
    return Template((*parts, Mask()) if spaced else (*parts, Fixed(" "), Mask()))


def without_answer(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts before the mask that ends them, without the white space that led to it."""
    *head, last = parts[:-1]
    if not isinstance(last, Fixed):
        return parts[:-1]
    text = last.text.rstrip()
    return (*head, Fixed(text)) if text else tuple(head)
