from __future__ import annotations

import json
import re

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Mask, PromptSlot, Task, Text

SUPERGLUE = {"boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc"}
GLUE = {"sst2", "mrpc", "qnli", "qqp", "mnli", "mnli_mismatched", "cola", "stsb"}
FEW_SHOT = {"mr", "cr", "mpqa", "subj", "trec", "sst5", "agnews", "snli"}
WORD = re.compile(r"\[[A-Z]+\]|\w+|[^\w\s]")
QUESTIONS = {"squad", "squad_spans", "mrqa", "mrqa_spans"}
WRITTEN = {"e2e", "webnlg", "dart", "xsum"}
WORDS = {name: name for name in ("text", "premise", "sentence")}


def test_what_the_catalog_holds() -> None:
    others = {"movie_reviews", "conll2003", "lama"}
    assert set(Task.catalog()) >= SUPERGLUE | GLUE | FEW_SHOT | QUESTIONS | WRITTEN | others


@pytest.mark.parametrize("name", Task.catalog())
def test_every_readout_has_its_template(name: str) -> None:
    task = Task.load(name)
    fields = dict.fromkeys(task.fields, "It rains.")
    causal = task.template_for("text")
    assert isinstance(causal.parts[-1], Mask) or causal.has_choice
    decoder = task.template_for("text", seq2seq=True)
    assert not decoder.has_mask
    assert not task.template_for("head").has_mask
    # Entities and free texts of several tokens fit no mask, and words and passages are read in place.
    if task.kind in ("classification", "regression") or name == "copa":
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
    # A choice among the row's own has no fixed words, and neither has a text.
    assert task.kind in ("choice", "generation", "extraction", "fact") or len(task.labels) >= 2


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
    mains |= {"conll2003": "span_f1", "record_t5": "token_f1", "wsc_t5": "wsc_accuracy"}
    mains |= dict.fromkeys(QUESTIONS, "token_f1") | dict.fromkeys(WRITTEN, "bleu")
    mains |= {"xsum": "rougeL", "lama": "p_at_1"}
    for name in Task.catalog():
        assert Task.load(name).metric == mains.get(name, "accuracy")


PATTERNS = [(task, pattern) for task in Task.catalog() for pattern in Task.load(task).patterns]


@pytest.mark.parametrize(("name", "pattern"), PATTERNS)
def test_every_pattern_can_be_asked_and_answered(name: str, pattern: str) -> None:
    own = Task.load(name)
    task = own.with_template(pattern)
    fields = dict.fromkeys(task.fields, "It rains.")
    served = 0
    for readout, seq2seq in (("text", False), ("text", True), ("mask", False), ("head", False)):
        try:
            template = task.template_for(readout, seq2seq)  # type: ignore[arg-type]
        except SoftPromptError:  # and it does not fall back to the task's own
            continue
        served += bool(template.render(fields, "It rains."))
    assert served
    for words in (task.label_words(), task.label_words(seq2seq=True)):
        assert len(set(words)) == len(words) == len(own.labels)


# The parts of THUDM/P-tuning's PT-Fewshot/data_utils/task_pvps.py, [P] for its block of virtual tokens. What it writes
# differently is said beside the pattern: COPA's mask and WSC's question.
PARTS = {
    "rte": ["premise", "Question:", "hypothesis", "?", "[P]", "Answer:", "[MASK]", "."],
    "cb": ["premise", "[SEP]", "hypothesis", "?", "[P]", " answer: ", "[MASK]"],
    "boolq": ["passage", ".", "[P]", " Question: ", "question", "? Answer: ", "[MASK]", "."],
    "multirc": ["paragraph", ". Question: ", "question", "? Is it ", "answer", "?", "[P]", "[MASK]", "."],
    "wic": ["sentence1", "[SEP]", "sentence2", "[P]", "*", "word", "*", "?", "[MASK]"],
}


@pytest.mark.parametrize("name", PARTS)
def test_p_tunings_patterns_are_those_of_its_code(name: str) -> None:
    """Compared word by word: the code tokenises each part alone, so that spaces between them count for nothing."""
    task = Task.load(name, template="p-tuning")
    texts = {field: f"some {field} here" for field in task.fields}
    shown = {PromptSlot: "[P]", Mask: "[MASK]"}
    parts = task.template_for("mask").render(texts, sep=" [SEP] ")
    found = " ".join(part.text if isinstance(part, Text) else shown[type(part)] for part in parts)
    expected = " ".join(texts.get(part, part) for part in PARTS[name])
    assert WORD.findall(found) == WORD.findall(expected)
    assert set(task.label_words()) <= {"Yes", "No", "Maybe"}


def test_p_tuning_of_copa_scores_the_choices_at_the_end() -> None:
    task = Task.load("copa", template="p-tuning")
    texts = {
        "premise": "It rained.",
        "choice1": "He ran.",
        "choice2": "He sat.",
        "question": "effect",
        "connective": "so",
    }
    parts = task.template_for("text").render(texts, "He ran.")
    assert [part.text if isinstance(part, Text) else "[P]" for part in parts] == [
        "He ran or He sat? It rained so", "[P]", " he ran.",
    ]  # fmt: skip


def test_a_block_of_virtual_tokens_follows_a_word_without_a_space() -> None:
    """A space between them would be a token of its own to tokenizers whose words begin with their space."""
    for name, pattern in PATTERNS:
        task = Task.load(name, template=pattern)
        assert not [source for source in (task.template, *task.templates.values()) if " {prompt" in source]


def test_where_patterns_are_from() -> None:
    known = {"p-tuning", "lm-bff", "lpt", "pet", "pet-category", "gpt3", "smop", "t5", "lester"}
    assert {pattern for _, pattern in PATTERNS} <= known
    assert {name for name, pattern in PATTERNS if pattern == "p-tuning"} == SUPERGLUE - {"record"} | {"lama"}
    assert {"sst2", "mr", "trec", "mnli"} <= {name for name, pattern in PATTERNS if pattern == "lm-bff"}
