"""Records whose shape is not one row each: SuperGLUE's nested files, and columns that make a text together.

A layout turns a record into flat ones, whose keys are field names, ``label``, ``choices``, ``answers`` and
``group``. The hub's flat forms of the same tasks pass through the same functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

Values: TypeAlias = dict[str, Any]


def flat_table(values: Values) -> Iterator[Values]:
    """A record is a row; white space around its texts (GLUE's end with a space) is no part of them."""
    yield {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}


def copa(values: Values) -> Iterator[Values]:
    """COPA: two choices, and the connective that its question (cause or effect) asks for."""
    connective = {"cause": "because", "effect": "so"}[values["question"]]
    yield {**values, "connective": connective, "choices": [values["choice1"], values["choice2"]]}


def multirc(values: Values) -> Iterator[Values]:
    """MultiRC: a row an answer, grouped by question. The hub's rows are flat already."""
    if "paragraph" in values:
        place = values.get("idx") or {}
        group = f"{place['paragraph']}-{place['question']}" if "question" in place else None
        yield {"group": group or f"{values['paragraph']}\n{values['question']}", **values}
        return
    for question in values["passage"]["questions"]:
        for answer in question["answers"]:
            yield {
                "paragraph": values["passage"]["text"],
                "question": question["question"],
                "answer": answer["text"],
                "label": answer.get("label"),
                "group": f"{values['idx']}-{question['idx']}",
            }


def record(values: Values) -> Iterator[Values]:
    """ReCoRD: a row a query, whose choices are the passage's entities. The hub's rows are flat already."""
    passage = values["passage"]
    if isinstance(passage, str):
        yield _cloze(passage, values["query"], values["entities"], values.get("answers"))
        return
    # The official files give the place of the last character, not the one after it.
    entities = [passage["text"][span["start"] : span["end"] + 1] for span in passage["entities"]]
    for query in values["qas"]:
        answers = query.get("answers")
        texts = None if answers is None else [answer["text"] for answer in answers]
        yield _cloze(passage["text"], query["query"], entities, texts)


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
    target = values.get("target", values)
    words = values["text"].split()
    start = int(target["span2_index"])
    end = start + len(target["span2_text"].split())
    marked = [*words[:start], f"*{' '.join(words[start:end])}*", *words[end:]]
    spans = {"span1": target["span1_text"], "span2": target["span2_text"]}
    yield {**values, **spans, "marked": " ".join(marked)}


def agnews(values: Values) -> Iterator[Values]:
    """AG News: title and description as one text, as LM-BFF joins them."""
    title = values.get("title", values.get("Title"))
    description = values.get("description", values.get("Description"))
    if "text" not in values and title is not None:
        values = {**values, "text": title if description is None else f"{title}. {description}"}
    yield from flat_table(values)


LAYOUTS: dict[str, Callable[[Values], Iterator[Values]]] = {
    "table": flat_table,
    "copa": copa,
    "multirc": multirc,
    "record": record,
    "wsc": wsc,
    "agnews": agnews,
}
