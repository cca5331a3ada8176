from __future__ import annotations

import json

import pytest

from softprompt.tasks import Mask, Task

SUPERGLUE = {"boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc"}
GLUE = {"sst2", "mrpc", "qnli", "qqp", "mnli", "mnli_mismatched", "cola", "stsb"}
FEW_SHOT = {"mr", "cr", "mpqa", "subj", "trec", "sst5", "agnews", "snli"}
WORDS = {name: name for name in ("text", "premise", "sentence")}


def test_what_the_catalog_holds() -> None:
    assert set(Task.catalog()) >= SUPERGLUE | GLUE | FEW_SHOT | {"movie_reviews", "conll2003"}


@pytest.mark.parametrize("name", Task.catalog())
def test_every_readout_has_its_template(name: str) -> None:
    task = Task.load(name)
    fields = dict.fromkeys(task.fields, "It rains.")
    causal = task.template_for("text")
    assert isinstance(causal.parts[-1], Mask) or causal.has_choice
    decoder = task.template_for("text", seq2seq=True)
    assert not decoder.has_mask
    assert not task.template_for("head").has_mask
    if name not in ("record", "conll2003"):  # entities of several tokens fit no mask, and words are read in place
        assert task.template_for("mask").has_mask
    for template in (causal, decoder, task.template_for("head")):
        assert template.render(fields, "It rains.")


@pytest.mark.parametrize("name", Task.catalog())
def test_a_definition_survives_json(name: str) -> None:
    task = Task.load(name)
    again = Task(**json.loads(json.dumps(task.model_dump(mode="json"))))
    assert again.model_dump() == task.model_dump()
    assert again.label_values == task.label_values
    assert Task.model_validate(json.loads(task.model_dump_json())).model_dump() == task.model_dump()


@pytest.mark.parametrize("name", Task.catalog())
def test_label_words_are_distinct(name: str) -> None:
    task = Task.load(name)
    for words in (task.label_words(), task.label_words(seq2seq=True)):
        assert len(set(words)) == len(words) == len(task.labels)
    # A choice among the row's own has no fixed words.
    assert task.kind == "choice" or len(task.labels) >= 2


def test_the_prescribed_templates_of_sequence_to_sequence_models() -> None:
    def shown(name: str) -> str:
        return str(Task.load(name).template_for("text", seq2seq=True))

    assert shown("boolq") == "boolq passage: {passage} question: {question}"
    assert shown("multirc") == "question: {question} answer: {answer}. paragraph: {paragraph}"
    assert shown("rte") == "rte sentence1: {premise} sentence2: {hypothesis}"
    assert Task.load("boolq").label_words(seq2seq=True) == ("False", "True")
    assert Task.load("copa").label_words(seq2seq=True) == ("choice1", "choice2")


def test_main_metrics() -> None:
    mains = {"cb": "cb_score", "multirc": "f1a", "record": "record_f1", "cola": "matthews", "stsb": "pearson"}
    mains["conll2003"] = "span_f1"
    for name in Task.catalog():
        assert Task.load(name).metric == mains.get(name, "accuracy")
