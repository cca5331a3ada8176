"""Named patterns of a task: other templates for its rows, and the words that answer them (pattern and verbalizer).

Papers ask one task in different words. A task's YAML keeps these side by side under `patterns`, each with its source in
a comment, and `Task.load(..., template=NAME)` or `train --template NAME` takes one. A pattern takes the place of all of
the task's templates, so that no readout falls back to other words in silence; what it says nothing of stays the task's.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards import limits
from softprompt.guards.suggestions import folded, nearest
from softprompt.tasks.text.readout_templates import TemplateKey, without_answer
from softprompt.tasks.text.template import Mask, Template

LABEL_KEYS = ("labels", "seq2seq_labels")


class Pattern(BaseModel):
    """What differs from the task.

    Attributes:
        template: for every readout that `templates` has none for; by default the first of `templates`.
        templates: templates of single readouts.
        labels: the label word of each label value.
        seq2seq_labels: those for sequence-to-sequence models, where they differ from `labels`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    template: str | None = None
    templates: dict[TemplateKey, str] = {}
    labels: dict[str, str] = {}
    seq2seq_labels: dict[str, str] = {}

    @field_validator(*LABEL_KEYS)
    @classmethod
    def _short_words(cls, words: dict[str, str]) -> dict[str, str]:
        for entry in words.values():
            limits.check_text(entry, "a pattern's labels")
            limits.check(len(entry), limits.NAME, "characters in one entry", "a pattern's labels")
        return words

    @model_validator(mode="after")
    def _differs(self) -> Pattern:
        if not self.model_dump(exclude_defaults=True):
            raise ValueError("a pattern has a template, templates, labels or seq2seq_labels; this one has none")
        return self

    @property
    def sources(self) -> tuple[str, ...]:
        """All templates of it."""
        return tuple(source for source in (self.template, *self.templates.values()) if source is not None)

    def keys(self, values: Mapping[str, str]) -> dict[str, object]:
        """The keys of a task's definition that it gives.

        Args:
            values: the task's labels, whose order is that of the classes.
        """
        found: dict[str, object] = {}
        if self.sources:
            first = self.sources[0]
            found = {"template": first, "templates": {"head": _without_mask(first), **self.templates}}
        if self.labels:
            found["labels"] = {value: self.labels[value] for value in values}
        if self.labels or self.seq2seq_labels:
            found["seq2seq_labels"] = dict(self.seq2seq_labels)
        return found


def pattern_of(given: str, patterns: Mapping[str, Pattern], task: str) -> Pattern:
    """The pattern of a name, in any of its spellings, or one of a template that is written out.

    Args:
        given: a name, or a template with fields in braces.
        patterns: of the task, by name.
        task: its name.

    Raises:
        SoftPromptError: it is neither.
    """
    known = {folded(name): pattern for name, pattern in patterns.items()}
    if folded(given) in known:
        return known[folded(given)]
    if "{" in given:
        return Pattern(template=given)
    near = nearest(given, patterns)
    hint = f"did you mean {near!r}? " if near else ""
    there = f"its patterns are {', '.join(patterns)}" if patterns else "it has no named patterns"
    raise SoftPromptError(
        f"task {task!r}: no template {quoted(given)}; {hint}{there}. A template of your own has fields in braces, as "
        "'{text} It was {mask}'"
    )


def _without_mask(source: str) -> str:
    """A template as a linear head reads it: without the answer that ends it (one inside is refused by the head)."""
    template = Template.parse(source)
    if not isinstance(template.parts[-1], Mask):
        return source
    return str(Template(without_answer(template.parts)))
