"""Records whose shape is not one row each: SuperGLUE's nested files, and columns that make a text together.

A layout turns a record into flat ones, whose keys are field names, ``label``, ``choices``, ``answers`` and
``group``. The hub's flat forms of the same tasks pass through the same functions. What a record lacks is a `KeyError`,
and what is of another kind a `TypeError` that names its key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias, TypeVar

from softprompt.tasks.values import label_text

Values: TypeAlias = Mapping[str, object]
Kind = TypeVar("Kind")
UNANSWERABLE = "unanswerable"
_KINDS = {str: "a text", int: "a whole number", dict: "an object", list: "a list"}


def flat_table(values: Values) -> Iterator[Values]:
    """A record is a row; white space around its texts (GLUE's end with a space) is no part of them."""
    yield {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}


def copa(values: Values) -> Iterator[Values]:
    """COPA: two choices, and the connective that its question (cause or effect) asks for."""
    connective = {"cause": "because", "effect": "so"}[_at(values, "question", str)]
    yield {**values, "connective": connective, "choices": [values["choice1"], values["choice2"]]}


def multirc(values: Values) -> Iterator[Values]:
    """MultiRC: a row an answer, grouped by question. The hub's rows are flat already."""
    if "paragraph" in values:
        place = values.get("idx")
        group = f"{values['paragraph']}\n{values['question']}"
        if isinstance(place, dict) and "question" in place:
            group = f"{place['paragraph']}-{place['question']}"
        yield {"group": group, **values}
        return
    passage = _at(values, "passage", dict)
    for question in _each(passage, "questions", dict):
        for answer in _each(question, "answers", dict):
            yield {
                "paragraph": passage["text"],
                "question": question["question"],
                "answer": answer["text"],
                "label": answer.get("label"),
                "group": f"{values['idx']}-{question['idx']}",
            }


def record(values: Values) -> Iterator[Values]:
    """ReCoRD: a row a query, whose choices are the passage's entities. The hub's rows are flat already."""
    if isinstance(values["passage"], str):
        answers = None if values.get("answers") is None else _each(values, "answers", str)
        yield _cloze(values["passage"], _at(values, "query", str), _each(values, "entities", str), answers)
        return
    passage = _at(values, "passage", dict)
    text = _at(passage, "text", str)
    # The official files give the place of the last character, not the one after it.
    spans = _each(passage, "entities", dict)
    entities = [text[_at(span, "start", int) : _at(span, "end", int) + 1] for span in spans]
    for query in _each(values, "qas", dict):
        answers = None
        if query.get("answers") is not None:
            answers = [_at(answer, "text", str) for answer in _each(query, "answers", dict)]
        yield _cloze(text, _at(query, "query", str), entities, answers)


def _cloze(passage: str, query: str, entities: list[str], answers: list[str] | None) -> Values:
    before, place, after = query.partition("@placeholder")
    if not place:
        raise ValueError("the query has no @placeholder")
    # The passage's summary points follow it, each after a line "@highlight"; T5's conversion joins them to
    # it as sentences (Raffel et al. 2020, text-to-text conversion of ReCoRD).
    passage = re.sub(r"([.?!\"'])\n@highlight\n", r"\1 ", passage)
    passage = passage.replace("\n@highlight\n", ". ")
    choices = list(dict.fromkeys(entities))
    return {
        "passage": passage,
        "query": query,
        "before": before,
        "after": after,
        "entities": ", ".join(choices),
        "choices": choices,
        "answers": list(dict.fromkeys(answers or [])),
    }


def wsc(values: Values) -> Iterator[Values]:
    """WSC: the two spans, and the text with the pronoun between asterisks (the second span)."""
    target = _at(values, "target", dict) if "target" in values else values
    words = _at(values, "text", str).split()
    start = int(label_text(target["span2_index"]))
    end = start + len(_at(target, "span2_text", str).split())
    marked = [*words[:start], f"*{' '.join(words[start:end])}*", *words[end:]]
    spans = {"span1": target["span1_text"], "span2": target["span2_text"]}
    yield {**values, **spans, "marked": " ".join(marked)}


def agnews(values: Values) -> Iterator[Values]:
    """AG News: title and description as one text, as LM-BFF joins them."""
    title = values.get("title", values.get("Title"))
    description = values.get("description", values.get("Description"))
    if "text" not in values and title is not None:
        parts = [
            _of(part, name, str) for name, part in (("title", title), ("description", description)) if part is not None
        ]
        values = {**values, "text": ". ".join(parts)}
    yield from flat_table(values)


def squad(values: Values) -> Iterator[Values]:
    """SQuAD: a row a question, of its own file or one of its articles; the hub's rows are flat already.

    A question that its passage does not answer (version 2) has the answer "unanswerable", as lm-evaluation-harness
    has it.
    """
    if "data" in values:
        for article in _each(values, "data", dict):
            yield from squad(article)
        return
    if "paragraphs" not in values:
        answers = values.get("answers")
        texts = answers.get("text") if isinstance(answers, Mapping) else answers
        yield from flat_table({**values, "answers": [UNANSWERABLE]} if texts == [] else values)
        return
    for paragraph in _each(values, "paragraphs", dict):
        context = _at(paragraph, "context", str)
        for question in _each(paragraph, "qas", dict):
            row = {"title": values.get("title"), "context": context, "question": _at(question, "question", str)}
            if question.get("is_impossible"):
                row["answers"] = [UNANSWERABLE]
            elif "answers" in question:  # a test file keeps them secret
                answers = _each(question, "answers", dict)
                row["answers"] = [_at(answer, "text", str).strip() for answer in answers]
                row["answer_start"] = [answer.get("answer_start") for answer in answers]
            yield from flat_table({**question, **row})


LAYOUTS: dict[str, Callable[[Values], Iterator[Values]]] = {
    "table": flat_table,
    "copa": copa,
    "multirc": multirc,
    "record": record,
    "wsc": wsc,
    "agnews": agnews,
    "squad": squad,
    "conll": flat_table,  # a record is a sentence, see `softprompt.tasks.data.conll`
}


def _at(values: Values, key: str, kind: type[Kind]) -> Kind:
    return _of(values[key], key, kind)


def _each(values: Values, key: str, kind: type[Kind]) -> list[Kind]:
    found = values[key]
    return [_of(one, key, kind) for one in (found if isinstance(found, tuple) else _of(found, key, list))]


def _of(value: object, key: str, kind: type[Kind]) -> Kind:
    if not isinstance(value, kind):
        raise TypeError(f"{key!r} is a {type(value).__name__} where {_KINDS[kind]} should be")
    return value
