"""SuperGLUE's published files, written out small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task
from softprompt.tasks.scoring import evaluate

from ...shared.tables import jsonl, load, repeated


def superglue(folder: Path, record: dict[str, Any], other: dict[str, Any], secret: dict[str, Any]) -> Path:
    jsonl(folder / "train.jsonl", repeated([record, other]))
    jsonl(folder / "val.jsonl", [other, record])
    jsonl(folder / "test.jsonl", [secret])
    return folder


def test_boolq(tmp_path: Path) -> None:
    record = {"question": "is it so", "passage": "Title -- It is so.", "idx": 0, "label": True}
    secret = {"question": "is it", "passage": "It.", "idx": 0}
    splits = load("boolq", superglue(tmp_path / "BoolQ", record, {**record, "label": False}, secret))
    assert splits.protocol == "official validation is test"
    assert [row.label for row in splits.test] == [0, 1]
    assert splits.test[1].fields == {"passage": "Title -- It is so.", "question": "is it so"}


def test_boolq_as_first_published(tmp_path: Path) -> None:
    record = {"question": "is it so", "title": "T", "answer": True, "passage": "It is so."}
    jsonl(tmp_path / "train.jsonl", repeated([record, {**record, "answer": False}]))
    jsonl(tmp_path / "dev.jsonl", [record])
    assert [row.label for row in load("boolq", tmp_path).test] == [1]


def test_wic(tmp_path: Path) -> None:
    record = {
        "word": "place",
        "sentence1": "Do you want to come over to my place later?",
        "sentence2": "A political system with no place for the less prominent groups.",
        "idx": 0,
        "label": False,
        "start1": 31,
        "start2": 27,
        "end1": 36,
        "end2": 32,
        "version": 1.1,
    }
    secret = {key: value for key, value in record.items() if key != "label"}
    splits = load("wic", superglue(tmp_path / "WiC", record, {**record, "label": True}, secret))
    assert [row.label for row in splits.test] == [1, 0]
    assert splits.test[0].fields["word"] == "place"


def test_wsc(tmp_path: Path) -> None:
    record = {
        "text": "Mark told Pete many lies about himself, which Pete included in his book.",
        "target": {"span2_index": 11, "span1_index": 0, "span1_text": "Mark", "span2_text": "his"},
        "idx": 0,
        "label": False,
    }
    secret = {key: value for key, value in record.items() if key != "label"}
    splits = load("wsc", superglue(tmp_path / "WSC", record, {**record, "label": True}, secret))
    row = splits.test[1]
    assert row.label == 0
    assert (row.fields["span1"], row.fields["span2"]) == ("Mark", "his")
    assert row.fields["marked"] == "Mark told Pete many lies about himself, which Pete included in *his* book."


def test_copa(tmp_path: Path) -> None:
    record = {
        "premise": "My body cast a shadow.",
        "choice1": "The sun was rising.",
        "choice2": "The grass was cut.",
        "question": "cause",
        "label": 0,
        "idx": 0,
    }
    other = {**record, "question": "effect", "label": 1}
    secret = {key: value for key, value in record.items() if key != "label"}
    task = Task.load("copa", data=superglue(tmp_path / "COPA", record, other, secret))
    effect, cause = task.splits().test
    assert (cause.label, cause.answers) == (0, ("The sun was rising.",))
    assert (effect.label, effect.answers) == (1, ("The grass was cut.",))
    assert cause.choices == ("The sun was rising.", "The grass was cut.")
    template = task.template_for("text")
    (text,) = template.render(cause.fields, cause.choices[0])
    assert text.text == "My body cast a shadow because the sun was rising."  # type: ignore[union-attr]
    (text,) = template.render(effect.fields, cause.choices[1])
    assert text.text == "My body cast a shadow so the grass was cut."  # type: ignore[union-attr]


def test_multirc(tmp_path: Path) -> None:
    def paragraph(index: int, labelled: bool = True) -> dict[str, Any]:
        def answer(number: int) -> dict[str, Any]:
            return {"text": f"answer {number}", "idx": number, **({"label": number % 2} if labelled else {})}

        questions = [
            {"question": f"question {q}?", "answers": [answer(2 * q), answer(2 * q + 1)], "idx": q} for q in range(2)
        ]
        return {
            "idx": index,
            "version": 1.1,
            "passage": {"text": f"paragraph {index}", "questions": questions},
        }

    jsonl(tmp_path / "train.jsonl", [paragraph(index) for index in range(10)])
    jsonl(tmp_path / "val.jsonl", [paragraph(0), paragraph(1)])
    jsonl(tmp_path / "test.jsonl", [paragraph(0, labelled=False)])
    splits = load("multirc", tmp_path)
    assert len(splits.train) + len(splits.validation) == 40
    assert len(splits.validation) == 4
    assert len(splits.test) == 8
    assert splits.test[3].fields == {
        "paragraph": "paragraph 0",
        "question": "question 1?",
        "answer": "answer 3",
    }
    assert [row.label for row in splits.test[:4]] == [0, 1, 0, 1]
    assert len({row.group for row in splits.test}) == 4
    assert not {row.group for row in splits.train} & {row.group for row in splits.validation}


def record_of(answers: list[dict[str, Any]] | None) -> dict[str, Any]:
    text = "Ann met Bob in Rome.\n@highlight\nBob was late\n@highlight\nAnn waited"
    spots = [("Ann", 0), ("Bob", 8), ("Rome", 15), ("Bob", 32), ("Ann", 56)]
    for name, start in spots:
        assert text[start : start + len(name)] == name
    # The published end is the place of the last character.
    entities = [{"start": start, "end": start + len(name) - 1} for name, start in spots]
    query = {"query": "In the end @placeholder came, said Ann.", "idx": 0}
    if answers is not None:
        query["answers"] = answers
    return {"source": "Daily mail", "passage": {"text": text, "entities": entities}, "idx": 0, "qas": [query]}


def test_record(tmp_path: Path) -> None:
    answers = [{"start": 8, "end": 10, "text": "Bob"}, {"start": 32, "end": 34, "text": "Bob"}]
    jsonl(tmp_path / "train.jsonl", repeated([record_of(answers)]))
    jsonl(tmp_path / "val.jsonl", [record_of([*answers, {"start": 15, "end": 18, "text": "Rome"}])])
    jsonl(tmp_path / "test.jsonl", [record_of(None)])
    task = Task.load("record", data=tmp_path)
    (row,) = task.splits().test
    assert row.choices == ("Ann", "Bob", "Rome")
    assert (row.label, row.answers) == (1, ("Bob", "Rome"))
    assert row.fields["passage"] == "Ann met Bob in Rome. Bob was late. Ann waited"
    (text,) = task.template_for("text").render(row.fields, row.choices[1])
    assert text.text.endswith("\nIn the end Bob came, said Ann.")  # type: ignore[union-attr]


@pytest.mark.parametrize(("name", "other"), [("rte", "not_entailment"), ("cb", "contradiction")])
def test_entailment_of_superglue(tmp_path: Path, name: str, other: str) -> None:
    record = {"premise": "He left.", "hypothesis": "He is gone.", "label": "entailment", "idx": 0}
    secret = {"premise": "He left.", "hypothesis": "He is gone.", "idx": 0}
    splits = load(name, superglue(tmp_path / name.upper(), record, {**record, "label": other}, secret))
    assert [row.label for row in splits.test] == [1, 0]


def wsc_record(label: bool | None, phrase: str = "The boy", index: int = 0) -> dict[str, Any]:
    target = {"span2_index": 8, "span1_index": 0, "span1_text": phrase, "span2_text": "he"}
    record = {"text": f"The boy told Pete many lies , which he regretted {index} .", "target": target, "idx": index}
    return record if label is None else {**record, "label": label}


@pytest.fixture
def wsc_as_t5(tmp_path: Path) -> Task:
    """Twelve texts, each with a right phrase and a wrong one."""
    pairs = [(wsc_record(True, index=n), wsc_record(False, "Pete", n)) for n in range(12)]
    jsonl(tmp_path / "train.jsonl", [record for pair in pairs for record in pair])
    jsonl(tmp_path / "val.jsonl", [wsc_record(False, "Pete"), wsc_record(True)])
    return Task.load("wsc_t5", data=tmp_path)


def test_wsc_as_t5_casts_it_is_taught_by_the_right_phrases_alone(wsc_as_t5: Task) -> None:
    splits = wsc_as_t5.splits()
    assert {(row.label, row.answers) for row in splits.train} == {("The boy", ("The boy",))}
    both = {(row.label, row.answers) for row in (*splits.validation, *splits.test)}
    assert both == {("The boy", ("The boy",)), ("Pete", ())}
    assert len(splits.train) == 12 - sum(bool(row.answers) for row in splits.validation)
    (text,) = wsc_as_t5.template_for("text", seq2seq=True).render(splits.test[0].fields)
    assert text.text == "The boy told Pete many lies , which *he* regretted 0 ."  # type: ignore[union-attr]


def test_wsc_as_t5_casts_it_is_right_where_the_phrase_is_named_or_rightly_not(wsc_as_t5: Task) -> None:
    wrong, right = wsc_as_t5.splits().test
    for row, guess, expected in (
        (right, "boy", 1.0),
        (right, "The boy", 1.0),
        (right, "a small boy", 1.0),
        (right, "Pete", 0.0),
        (right, "boy's", 0.0),
        (right, "", 0.0),
        (wrong, "The boy", 1.0),
        (wrong, "pete", 0.0),
        (wrong, "the", 0.0),  # says nothing, which is never right
    ):
        assert evaluate(wsc_as_t5, [row], [guess])["wsc_accuracy"] == expected, (row.label, guess)


def test_a_label_of_wsc_that_is_no_truth_is_told_with_its_line(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "rows.jsonl", [wsc_record(True), {**wsc_record(True), "label": "perhaps"}])
    with pytest.raises(SoftPromptError, match="rows.jsonl, line 2.*neither true nor false"):
        Task.load("wsc_t5", data=path).splits()


def record_passage(index: int) -> dict[str, Any]:
    text = "Ann met Bob in Rome.\n@highlight\nBob wrote"
    spans = [{"start": 0, "end": 2}, {"start": 8, "end": 10}, {"start": 15, "end": 18}, {"start": 32, "end": 34}]
    answers = [{"text": "Ann", "start": 0, "end": 2}, {"text": "Bob", "start": 8, "end": 10}]
    query = {"query": f"Who is @placeholder {index}?", "idx": index, "answers": answers}
    return {"idx": index, "passage": {"text": text, "entities": spans}, "qas": [query]}


def test_record_as_t5_casts_it_has_a_training_row_for_each_right_answer(tmp_path: Path) -> None:
    jsonl(tmp_path / "train.jsonl", [record_passage(index) for index in range(10)])
    jsonl(tmp_path / "val.jsonl", [record_passage(0)])
    task = Task.load("record_t5", data=tmp_path)
    splits = task.splits()
    assert [row.label for row in splits.train] == ["Ann", "Bob"] * 9
    (tested,) = splits.test
    assert tested.answers == ("Ann", "Bob")
    assert (evaluate(task, [tested], ["bob"])["exact_match"], evaluate(task, [tested], ["Rome"])["token_f1"]) == (1, 0)
    (text,) = task.template_for("text", seq2seq=True).render(tested.fields)
    told = "query: Who is @placeholder 0? entities: Ann, Bob, Rome passage: Ann met Bob in Rome. Bob wrote"
    assert text.text == told  # type: ignore[union-attr]


# Rows as T5's preprocessors (t5/data/preprocessors.py, glue) write them, without the first word (Lester et al.'s code,
# remove_first_text_token): the fields by name, in their order in the alphabet where T5 names no other.
LESTER = [
    ("boolq", {"passage": "p", "question": "q"}, "passage: p question: q", ("False", "True")),
    (
        "cb",
        {"premise": "p", "hypothesis": "h"},
        "hypothesis: h premise: p",
        ("entailment", "contradiction", "neutral"),
    ),
    (
        "copa",
        {"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "connective": "because"},
        "choice1: a choice2: b premise: p question: cause",
        ("choice1", "choice2"),
    ),
    (
        "multirc",
        {"paragraph": "<b>Sent 1: </b>P.<br>Q", "question": "q", "answer": "a"},
        "question: q answer: a paragraph: Sent 1: P. Q",
        ("False", "True"),
    ),
    ("rte", {"premise": "p", "hypothesis": "h"}, "hypothesis: h premise: p", ("entailment", "not_entailment")),
    (
        "wic",
        {"word": "w", "sentence1": "a", "sentence2": "b"},
        "sentence1: a sentence2: b word: w",
        ("False", "True"),
    ),
]


@pytest.mark.parametrize(("name", "fields", "text", "words"), LESTER)
def test_lesters_words_are_t5s_without_the_tasks_name(
    name: str, fields: dict[str, str], text: str, words: tuple[str, ...]
) -> None:
    task = Task.load(name, template="lester")
    shown = task.template_for("text", seq2seq=True).render(fields)
    assert [segment.text for segment in shown] == [text]  # type: ignore[union-attr]
    assert task.label_words(seq2seq=True) == words
