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


def wsc_record(label: bool | None, phrase: str = "The boy") -> dict[str, Any]:
    target = {"span2_index": 8, "span1_index": 0, "span1_text": phrase, "span2_text": "he"}
    record = {"text": "The boy told Pete many lies , which he regretted .", "target": target, "idx": 0}
    return record if label is None else {**record, "label": label}


def test_wsc_as_t5_casts_it_is_taught_by_the_right_phrases_alone(tmp_path: Path) -> None:
    right, wrong = wsc_record(True), wsc_record(False, "Pete")
    folder = superglue(tmp_path / "WSC", right, wrong, wsc_record(None))
    task = Task.load("wsc_t5", data=folder)
    splits, whole = task.splits(), load("wsc", folder)
    assert {(row.label, row.answers) for row in splits.train} == {("The boy", ("The boy",))}
    assert 0 < len(splits.train) < len(whole.train)
    assert {(row.label, row.answers) for row in splits.test} == {("The boy", ("The boy",)), ("Pete", ())}
    (text,) = task.template_for("text", seq2seq=True).render(splits.test[0].fields)
    assert text.text == "The boy told Pete many lies , which *he* regretted ."  # type: ignore[union-attr]


def test_wsc_as_t5_casts_it_is_right_where_the_phrase_is_named_or_rightly_not(tmp_path: Path) -> None:
    folder = superglue(tmp_path / "WSC", wsc_record(True), wsc_record(False, "Pete"), wsc_record(None))
    task = Task.load("wsc_t5", data=folder)
    wrong, right = task.splits().test
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
        assert evaluate(task, [row], [guess])["wsc_accuracy"] == expected, (row.label, guess)


def test_a_label_of_wsc_that_is_no_truth_is_told_with_its_line(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "rows.jsonl", [wsc_record(True), {**wsc_record(True), "label": "perhaps"}])
    with pytest.raises(SoftPromptError, match="rows.jsonl, line 2.*neither true nor false"):
        Task.load("wsc_t5", data=path).splits()


def record_passage(index: int) -> dict[str, Any]:
    text = "Ann met Bob in Rome.\n@highlight\nBob wrote"
    spans = [{"start": 0, "end": 2}, {"start": 8, "end": 10}, {"start": 15, "end": 18}, {"start": 32, "end": 34}]
    answers = [{"text": "Ann", "start": 0, "end": 2}, {"text": "Bob", "start": 8, "end": 10}]
    query = {"query": "Who is @placeholder?", "idx": index, "answers": answers}
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
    told = "query: Who is @placeholder? entities: Ann, Bob, Rome passage: Ann met Bob in Rome. Bob wrote"
    assert text.text == told  # type: ignore[union-attr]
