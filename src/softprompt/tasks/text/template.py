"""The template language: where a row's fields, the virtual tokens and the answer stand in the text.

A template is a string with places in braces:

==================  ===================================================================================
``{field}``         the text of that field of the row
``{field:stem}``    the same without its final ``.``, ``?`` or ``!`` (LM-BFF's ``sent-``)
``{field:lower}``   the same with its first letter in lower case, except the word "I" (LM-BFF's ``sentl``)
``{choice}``        one of the row's choices, in tasks of kind ``choice``; never cut
``{prompt}``        all virtual tokens of the attached prompt
``{prompt:5}``      five of them
``{mask}``          where the answer is read; one space in front of it belongs to the answer
``{sep}``           the tokenizer's separator, or a newline where it has none
``{{`` and ``}}``   a brace
==================  ===================================================================================

`fit` in `fitting.py` turns a rendered template into token ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Literal as Choice
from typing import TypeAlias, cast

from softprompt.errors import SoftPromptError
from softprompt.guards import limits

FieldForm: TypeAlias = Choice["", "stem", "lower", "plain"]

RESERVED = frozenset({"prompt", "mask", "sep"})
CHOICE = "choice"
_FORMS = ("stem", "lower", "plain")
_MARKUP = re.compile(r"</?b>")
_TOKEN = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_COUNT = re.compile(r"[1-9][0-9]{0,8}\Z")


@dataclass(frozen=True, slots=True)
class Literal:
    """Fixed text."""

    text: str

    def __str__(self) -> str:
        return self.text.replace("{", "{{").replace("}", "}}")


@dataclass(frozen=True, slots=True)
class Field:
    """The place of a row's field, in one of its forms."""

    name: str
    form: FieldForm = ""

    def __str__(self) -> str:
        return "{" + self.name + (f":{self.form}" if self.form else "") + "}"

    def apply(self, text: str) -> str:
        """The field's text as this place shows it."""
        if self.form == "stem":
            return text.rstrip().rstrip(".?!").rstrip()
        if self.form == "lower":
            return text if re.match(r"I\b", text) else text[:1].lower() + text[1:]
        if self.form == "plain":
            return _MARKUP.sub("", text.replace("<br>", " "))
        return text


@dataclass(frozen=True, slots=True)
class PromptSlot:
    """The place of `count` virtual tokens, or of all of them where `count` is None."""

    count: int | None = None

    def __str__(self) -> str:
        return "{prompt}" if self.count is None else f"{{prompt:{self.count}}}"


@dataclass(frozen=True, slots=True)
class Mask:
    """The place of the answer.

    Attributes:
        space: in a rendered template, whether a space stood in front; it is taken out of the text, and a
            text readout puts it in front of the label word, where tokenizers expect it.
    """

    space: bool = False

    def __str__(self) -> str:
        return "{mask}"


@dataclass(frozen=True, slots=True)
class Sep:
    """The place of the tokenizer's separator."""

    def __str__(self) -> str:
        return "{sep}"


Part: TypeAlias = Literal | Field | PromptSlot | Mask | Sep


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]` of a text segment is what the field `name` gave."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Text:
    """A run of text between other places, tokenised as one string."""

    text: str
    spans: tuple[Span, ...] = ()


Segment: TypeAlias = Text | PromptSlot | Mask | Sep


@dataclass(frozen=True)
class Template:
    """A parsed template; `str` gives its source back."""

    parts: tuple[Part, ...]

    @classmethod
    def parse(cls, source: str, known: Iterable[str] | None = None) -> Template:
        """Parse `source`; with `known`, every field must be one of these names.

        Raises:
            SoftPromptError: a lone brace, a name that is neither a field nor a place, an impossible count,
                more than one ``{mask}``, ``{prompt}`` beside another prompt place, or more than `limits` allows.
        """
        limits.check_text(source, "template")
        limits.check(len(source), limits.TEMPLATE, "characters", "template", "shorten it")
        names = None if known is None else [*known]
        tokens: list[str] = _TOKEN.findall(source)
        places = sum(one.startswith("{") and not one.startswith("{{") for one in tokens)
        limits.check(places, limits.PLACES, "places", "template", "leave some out")
        template = cls(tuple(_merged(_part(token, source, names) for token in tokens)))
        if sum(isinstance(part, Mask) for part in template.parts) > 1:
            raise SoftPromptError(f"template {source!r}: {{mask}} stands twice; keep one, the answer is read once")
        slots = template.slots
        if len(slots) > 1 and any(slot.count is None for slot in slots):
            raise SoftPromptError(
                f"template {source!r}: {{prompt}} takes all virtual tokens and must stand alone; "
                "give every place its count, as {prompt:5}"
            )
        return template

    def __str__(self) -> str:
        return "".join(map(str, self.parts))

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, in the order in which they first stand (``choice`` is no field)."""
        names = (part.name for part in self.parts if isinstance(part, Field) and part.name != CHOICE)
        return tuple(dict.fromkeys(names))

    @cached_property
    def slots(self) -> tuple[PromptSlot, ...]:
        """The places of virtual tokens, in order."""
        return tuple(part for part in self.parts if isinstance(part, PromptSlot))

    @cached_property
    def has_mask(self) -> bool:
        """Whether a ``{mask}`` stands in it."""
        return any(isinstance(part, Mask) for part in self.parts)

    @cached_property
    def has_choice(self) -> bool:
        """Whether a ``{choice}`` stands in it."""
        return any(isinstance(part, Field) and part.name == CHOICE for part in self.parts)

    @cached_property
    def space_before_answer(self) -> bool:
        """Whether a space stands before the answer, so that its first word goes on a line."""
        filled = self.render(dict.fromkeys(self.fields, "a"), "a" if self.has_choice else None)
        return any(isinstance(piece, Mask) and piece.space for piece in filled)

    def render(
        self, fields: Mapping[str, str], choice: str | None = None, sep: str | None = None
    ) -> tuple[Segment, ...]:
        """Fill the places with a row's texts and merge neighbouring text.

        Args:
            fields: the row's texts by field name.
            choice: the text of ``{choice}``.
            sep: text for ``{sep}``; None keeps `Sep` as a segment of its own.

        Returns:
            Segments in order; each `Text` is non-empty text and tells which of it came from fields. Joined,
            they give the template's string exactly, but for the space in front of the mask (`Mask.space`).

        Raises:
            SoftPromptError: the row lacks a field that the template names, or a choice is needed.
        """
        segments: list[Segment] = []
        text, spans = "", list[Span]()

        def close() -> None:
            nonlocal text, spans
            if text:
                segments.append(Text(text, tuple(spans)))
            text, spans = "", []

        for part in self.parts:
            if isinstance(part, Literal):
                text += part.text
            elif isinstance(part, Field):
                value = part.apply(self._value(part.name, fields, choice))
                spans.append(Span(part.name, len(text), len(text) + len(value)))
                text += value
            elif isinstance(part, Sep) and sep is not None:
                text += sep
            elif isinstance(part, Mask):
                space = text.endswith(" ") and not (spans and spans[-1].end == len(text))
                text = text[:-1] if space else text
                close()
                segments.append(Mask(space))
            else:
                close()
                segments.append(part)
        close()
        return tuple(segments)

    def _value(self, name: str, fields: Mapping[str, str], choice: str | None) -> str:
        if name == CHOICE:
            if choice is None:
                raise SoftPromptError(f"template {str(self)!r} has {{choice}}, but the row has no choices")
            return choice
        if name not in fields:
            raise SoftPromptError(
                f"template {str(self)!r} names the field {name!r}; the row has {', '.join(map(repr, fields))}"
            )
        return fields[name]


def _part(token: str, source: str, known: list[str] | None) -> Part:
    if token in ("{{", "}}"):
        return Literal(token[0])
    if token in ("{", "}"):
        raise SoftPromptError(f"template {source!r}: a lone {token!r}; write {token * 2!r} for the character itself")
    if not token.startswith("{"):
        return Literal(token)
    name, colon, form = token[1:-1].partition(":")
    if name == "prompt":
        if colon and not _COUNT.match(form):
            raise SoftPromptError(
                f"template {source!r}: {token} needs a count of at least 1 and at most 999,999,999, as {{prompt:5}}"
            )
        return PromptSlot(int(form) if colon else None)
    if name in RESERVED:
        if colon:
            raise SoftPromptError(f"template {source!r}: {{{name}}} takes nothing after a colon")
        return Mask() if name == "mask" else Sep()
    return _field(name, form if colon else None, source, known)


def _field(name: str, form: str | None, source: str, known: list[str] | None) -> Field:
    if not _NAME.match(name):
        raise SoftPromptError(
            f"template {source!r}: {name!r} is no field name; write one as {{text}}, or {{{{ for a brace"
        )
    if known is not None and name not in known:
        raise SoftPromptError(
            f"template {source!r} names the field {name!r}, which the task has not; "
            f"it has {', '.join(map(repr, known))} and the places prompt, mask and sep"
        )
    if form is not None and form not in _FORMS:
        raise SoftPromptError(
            f"template {source!r}: {name!r} has no form {form!r}; the forms are stem, lower and plain"
        )
    return Field(name, cast("FieldForm", form or ""))


def _merged(parts: Iterable[Part]) -> list[Part]:
    """Neighbouring literals as one (an escaped brace parses as a literal of its own)."""
    merged: list[Part] = []
    for literal, group in groupby(parts, lambda part: isinstance(part, Literal)):
        alike = list(group)
        merged += [Literal("".join(part.text for part in alike if isinstance(part, Literal)))] if literal else alike
    return merged
