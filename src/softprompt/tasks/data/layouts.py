"""Records whose shape is not one row each: SuperGLUE's nested files, and columns that make a text together.

A layout turns a record into flat ones, whose keys are field names, ``label``, ``choices``, ``answers`` and
``group``. The hub's flat forms of the same tasks pass through the same functions. What a record lacks is a `KeyError`,
and what is of another kind a `TypeError` that names its key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from softprompt.tasks.data.typed import at, each, flat_table, of
from softprompt.tasks.data.verbalised import dart, e2e, webnlg
from softprompt.tasks.values import label_text

Values: TypeAlias = Mapping[str, object]
UNANSWERABLE = "unanswerable"
RIGHT = "answer_is_right"  # of a row of the layout `wsc_phrase`, whether its answer is one
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def copa(values: Values) -> Iterator[Values]:
    """COPA: two choices, and the connective that its question (cause or effect) asks for."""
    connective = {"cause": "because", "effect": "so"}[at(values, "question", str)]
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
    passage = at(values, "passage", dict)
    for question in each(passage, "questions", dict):
        for answer in each(question, "answers", dict):
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
        answers = None if values.get("answers") is None else each(values, "answers", str)
        yield _cloze(values["passage"], at(values, "query", str), each(values, "entities", str), answers)
        return
    passage = at(values, "passage", dict)
    text = at(passage, "text", str)
    # The official files give the place of the last character, not the one after it.
    spans = each(passage, "entities", dict)
    entities = [text[at(span, "start", int) : at(span, "end", int) + 1] for span in spans]
    for query in each(values, "qas", dict):
        answers = None
        if query.get("answers") is not None:
            answers = [at(answer, "text", str) for answer in each(query, "answers", dict)]
        yield _cloze(text, at(query, "query", str), entities, answers)


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


def commonsense_qa(values: Values) -> Iterator[Values]:
    """CommonsenseQA: a question and its choices, which its own file keeps inside; the hub's rows are flat already."""
    asked = values["question"]
    if isinstance(asked, dict):
        offered = each(asked, "choices", dict)
        choices = {name: [at(one, name, str) for one in offered] for name in ("label", "text")}
        values = {**values, "question": at(asked, "stem", str), "choices": choices}
    texts = each(at(values, "choices", dict), "text", str)
    yield from flat_table({**values, "options": ", ".join(texts)})


def wsc(values: Values) -> Iterator[Values]:
    """WSC: the two spans, and the text with the pronoun between asterisks (the second span)."""
    target = at(values, "target", dict) if "target" in values else values
    words = at(values, "text", str).split()
    start = int(label_text(target["span2_index"]))
    end = start + len(at(target, "span2_text", str).split())
    marked = [*words[:start], f"*{' '.join(words[start:end])}*", *words[end:]]
    spans = {"span1": target["span1_text"], "span2": target["span2_text"]}
    yield {**values, **spans, "marked": " ".join(marked)}


def wsc_phrase(values: Values) -> Iterator[Values]:
    """WSC as T5 casts it: the noun phrase is the answer, a right one where the pronoun stands for it (`RIGHT`).

    Raises:
        ValueError: the label is no truth.
    """
    for row in wsc(values):
        label = "" if row.get("label") is None else label_text(row["label"]).casefold()
        if label in ("", "-1"):  # of a test file, which keeps it secret
            yield row
        elif label in _TRUTHS:
            yield {**row, "answers": [row["span1"]], RIGHT: _TRUTHS[label]}
        else:
            raise ValueError(f"the label {label!r} is neither true nor false")


def agnews(values: Values) -> Iterator[Values]:
    """AG News: title and description as one text, as LM-BFF joins them."""
    title = values.get("title", values.get("Title"))
    description = values.get("description", values.get("Description"))
    if "text" not in values and title is not None:
        parts = [
            of(part, name, str) for name, part in (("title", title), ("description", description)) if part is not None
        ]
        values = {**values, "text": ". ".join(parts)}
    yield from flat_table(values)


def squad(values: Values) -> Iterator[Values]:
    """SQuAD: a row a question, of its own file or one of its articles; the hub's rows are flat already.

    A question that its passage does not answer (version 2) has the answer "unanswerable", as lm-evaluation-harness
    has it.
    """
    if "data" in values:
        for article in each(values, "data", dict):
            yield from squad(article)
        return
    if "paragraphs" not in values:
        answers = values.get("answers")
        texts = answers.get("text") if isinstance(answers, Mapping) else answers
        yield from flat_table({**values, "answers": [UNANSWERABLE]} if texts == [] else values)
        return
    for paragraph in each(values, "paragraphs", dict):
        context = at(paragraph, "context", str)
        for question in each(paragraph, "qas", dict):
            row = {"title": values.get("title"), "context": context, "question": at(question, "question", str)}
            if question.get("is_impossible"):
                row["answers"] = [UNANSWERABLE]
            elif "answers" in question:  # a test file keeps them secret
                answers = each(question, "answers", dict)
                row["answers"] = [at(answer, "text", str).strip() for answer in answers]
                row["answer_start"] = [answer.get("answer_start") for answer in answers]
            yield from flat_table({**question, **row})


def mrqa(values: Values) -> Iterator[Values]:
    """MRQA: a row a question of a passage, the answers that stand in it first; a file's header makes none."""
    if "header" in values:
        return
    if "qas" not in values:
        yield from flat_table(values)
        return
    context = at(values, "context", str)
    for question in each(values, "qas", dict):
        detected = each(question, "detected_answers", dict) if "detected_answers" in question else []
        found = [at(one, "text", str) for one in detected]
        others = each(question, "answers", str) if "answers" in question else []
        yield {
            "context": context,
            "question": at(question, "question", str).strip(),
            "answers": [*found, *(one for one in others if one not in found)] or None,
            "answer_start": [_first_character(one) for one in detected],
        }


def _first_character(answer: Values) -> object:
    """Where a detected answer first starts; its spans are pairs of characters, the last one among them."""
    spans = each(answer, "char_spans", list) if "char_spans" in answer else []
    return spans[0][0] if spans and spans[0] else None


LAYOUTS: dict[str, Callable[[Values], Iterator[Values]]] = {
    "table": flat_table,
    "copa": copa,
    "multirc": multirc,
    "record": record,
    "commonsense_qa": commonsense_qa,
    "wsc": wsc,
    "wsc_phrase": wsc_phrase,
    "agnews": agnews,
    "squad": squad,
    "mrqa": mrqa,
    "e2e": e2e,
    "webnlg": webnlg,
    "dart": dart,
    "conll": flat_table,  # a record is a sentence, see `softprompt.tasks.data.conll`
}
