"""Places for virtual tokens around the text and the answer of a template that names none."""

from __future__ import annotations

from collections.abc import Sequence

from softprompt.tasks.text.template import Literal, Mask, Part, PromptSlot, Template


def surrounded(template: Template, counts: Sequence[int]) -> Template:
    """The template with virtual tokens before the text, before the answer, after it and at the end.

    Args:
        template: one without places for virtual tokens.
        counts: how many at each of the four. Where no mask stands in the template all but the first go to its end, and
            all in front where it has choices, behind which nothing may stand.
    """
    first, before, after, last = counts
    if template.has_choice:
        return Template((*_slot(sum(counts)), *template.parts))
    if not template.has_mask:
        return Template((*_slot(first), *template.parts, *_slot(before + after + last)))
    place = next(index for index, part in enumerate(template.parts) if isinstance(part, Mask))
    head, tail = template.parts[:place], template.parts[place + 1 :]
    lead: tuple[Part, ...] = ()
    if before and head and isinstance(head[-1], Literal) and head[-1].text.endswith(" "):
        # The space before a mask belongs to the answer; it must stand next to it.
        text = head[-1].text[:-1]
        head, lead = (*head[:-1], *([Literal(text)] if text else [])), (Literal(" "),)
    middle: tuple[Part, ...] = (*_slot(before), *lead, template.parts[place], *_slot(after))
    return Template((*_slot(first), *head, *middle, *tail, *_slot(last)))


def _slot(count: int) -> tuple[PromptSlot, ...]:
    return (PromptSlot(count),) if count else ()
