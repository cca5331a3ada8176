"""Tasks that are answered in place: a tag for each word of a row, or the part of a passage that is the answer.

A head reads such answers off the row's own tokens, so there are no label words and no mask, and what is read stands in
the template once, as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from softprompt.tasks.spans import is_span_tag
from softprompt.tasks.text.template import Template

IN_PLACE = ("tags", "extraction")  # the kinds of these tasks
PASSAGE = "context"  # the field that holds the answers of an extraction
# Where data sets keep words and their tags.
TAGGED_COLUMNS = {"field": ("tokens", "words"), "label": ("tags", "ner_tags")}
_OF_SPANS = ("span_f1", "span_precision", "span_recall")


def complete(values: dict[str, object]) -> None:
    """Give a definition what most of its kind have: a template, the usual columns, and spans to score."""
    if values.get("layout") == "conll":
        values.setdefault("kind", "tags")
    if values.get("kind") == "extraction":
        values.setdefault("template", f"{{question}}{{sep}}{{{PASSAGE}}}")
        values["metrics"] = values.get("metrics") or ("token_f1", "exact_match")
    if values.get("kind") != "tags":
        return
    template = values.setdefault("template", "{text}")
    field = next(iter(Template.parse(template).fields if isinstance(template, str) else ()), "text")
    columns, labels = values.get("columns"), values.get("labels")
    own = {field: TAGGED_COLUMNS["field"], "label": TAGGED_COLUMNS["label"]}
    values["columns"] = {**own, **columns} if isinstance(columns, Mapping) else columns or own
    words = labels.values() if isinstance(labels, Mapping) else labels if isinstance(labels, (list, tuple)) else ()
    if not values.get("metrics") and words and all(isinstance(word, str) and is_span_tag(word) for word in words):
        values["metrics"] = (*_OF_SPANS, "token_accuracy")


def check_tags(words: Sequence[str], fields: Sequence[str], templates: Iterable[str], metrics: Sequence[str]) -> None:
    """Make sure that a task of the kind tags can be.

    Args:
        words: the words of its labels, which are the tags.
        fields: of its rows.
        templates: all that it has.
        metrics: that score it.

    Raises:
        ValueError: it cannot.
    """
    if len(words) < 2:
        raise ValueError("a task of the kind tags needs at least two labels, as labels=['O', 'B-PER', 'I-PER']")
    if len(fields) != 1:
        raise ValueError(f"a task of the kind tags has one field, its words; found {', '.join(fields)}")
    _check_read(fields[0], templates)
    spaced = next((word for word in words if not word or any(map(str.isspace, word))), None)
    if spaced is not None:
        raise ValueError(f"labels: the tag {spaced!r} is empty or has white space in it; rename it")
    other = next((word for word in words if not is_span_tag(word)), None)
    if other is not None and {*_OF_SPANS} & {*metrics}:
        raise ValueError(
            f"metrics: the tag {other!r} does not say where a span is, as B-PER and O do; take token_accuracy"
        )


def check_passage(words: Sequence[str], templates: Iterable[str]) -> None:
    """Make sure that a task of the kind extraction can be; the arguments are those of `check_tags`.

    Raises:
        ValueError: it cannot.
    """
    if words:
        raise ValueError("an extraction task has no labels; leave them out")
    _check_read(PASSAGE, templates)


def _check_read(field: str, templates: Iterable[str]) -> None:
    for source in templates:
        template = Template.parse(source)
        if template.has_mask or [str(part) for part in template.parts].count(f"{{{field}}}") != 1:
            raise ValueError(
                f"template {source!r}: answers are read off {{{field}}}, so that stands once, as it is, and no {{mask}}"
            )
