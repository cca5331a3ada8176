"""What stands behind a score, counted by hand, and of answers that are there already."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.evaluation.breakdown import MOST_CLASSES, Breakdown, breakdown
from softprompt.readouts import Outcome
from softprompt.tasks import Row, Task

THREE = Task(name="three", template="{text} {mask}", labels=["cat", "dog", "fox"])


def answered(task: Task, pairs: list[tuple[int, int]], chances: list[float]) -> Breakdown:
    """Of rows with a label and an answer each; the answer has the given probability."""
    rows = [
        Row({"text": f"text {place}"}, label, file="some/where/t.csv", line=place + 2)
        for place, (label, _) in enumerate(pairs)
    ]
    count = len(task.labels)
    found = [
        Outcome(answer, tuple(chance if one == answer else (1 - chance) / (count - 1) for one in range(count)), 1.0)
        for (_, answer), chance in zip(pairs, chances, strict=True)
    ]
    return breakdown(task, rows, found, "test")


def test_classes_and_their_confusion_are_counted() -> None:
    pairs = [(0, 0), (0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 0)]
    found = answered(THREE, pairs, [0.9, 0.5, 0.6, 0.99, 0.8, 0.7, 0.95])
    assert found.confusion == ((2, 1, 0), (1, 1, 0), (2, 0, 0))
    cat, dog, fox = found.classes
    assert (cat.rows, cat.answered, cat.right, cat.errors) == (3, 5, 2, 4)
    assert (cat.precision, cat.recall, cat.f1) == pytest.approx((2 / 5, 2 / 3, 4 / 8))
    assert (dog.precision, dog.recall) == (0.5, 0.5)
    assert (fox.precision, fox.recall, fox.f1) == (0, 0, 0)  # it was never the answer
    assert [(one.label, one.answer, one.rows) for one in found.confused][0] == ("fox", "cat", 2)
    assert found.majority is not None
    assert (found.majority.label, found.majority.score) == ("cat", pytest.approx(3 / 7))
    # The surest mistakes, and no right answer however sure.
    assert [(one.line, one.label, one.answer) for one in found.worst] == [
        (5, "dog", "cat"), (8, "fox", "cat"), (7, "fox", "cat"),
    ]  # fmt: skip
    assert found.worst[0].file == "t.csv"
    assert found.worst[0].probability == pytest.approx(0.99)


def test_the_majority_is_scored_by_the_main_metric() -> None:
    task = THREE.model_copy(update={"metrics": ("macro_f1", "accuracy")})
    found = answered(task, [(0, 0), (0, 0), (0, 1), (1, 1)], [0.9] * 4)
    assert found.majority is not None
    assert found.majority.score == pytest.approx((2 * 3 / (3 + 4) + 0) / 2)


def test_of_many_classes_those_with_the_most_errors_are_told() -> None:
    many = Task(name="many", template="{text} {mask}", labels=[f"c{n}" for n in range(40)])
    wrong = [(7, 8)] * 5 + [(20, 3)] * 3
    found = answered(many, [*((n, n) for n in range(40)), *wrong], [0.5] * 48)
    assert found.confusion is None
    assert (len(found.classes), found.class_count) == (MOST_CLASSES, 40)
    assert [one.label for one in found.classes][:4] == ["c7", "c8", "c3", "c20"]
    assert [(one.label, one.answer, one.rows) for one in found.confused] == [("c7", "c8", 5), ("c20", "c3", 3)]


def test_a_perfect_score_has_no_mistakes() -> None:
    found = answered(THREE, [(n, n) for n in range(3)], [0.5] * 3)
    assert (found.worst, found.confused) == ((), ())


def test_numbers_are_worst_where_they_are_furthest_off() -> None:
    task = Task(name="score", template="{text} {mask}", kind="regression", bounds=(0, 5))
    rows = [Row({"text": "w"}, float(n)) for n in range(5)]
    guesses = (0.0, 1.5, 0.0, 3.0, 4.1)
    found = breakdown(task, rows, [Outcome(value, (0.5, 0.5), None) for value in guesses], "validation")
    assert [(one.label, one.answer) for one in found.worst] == [("2", "0"), ("1", "1.5"), ("4", "4.1")]
    assert [one.score for one in found.worst] == pytest.approx([2, 0.5, 0.1])
    assert (found.classes, found.majority, found.worst[0].probability) == ((), None, None)


def test_texts_are_worst_by_their_metric_and_choices_where_they_are_wrong() -> None:
    task = Task(name="say", template="{text} {mask}", kind="generation", metrics=("token_f1",))
    rows = [Row({"text": "w"}, "a b", answers=("blue bird", "bird"))] * 4
    texts = ("bird", "blue cat", "nothing", "blue bird of")
    found = breakdown(task, rows, [Outcome(text, None, 0.5) for text in texts], "test")
    assert [one.answer for one in found.worst] == ["nothing", "blue cat", "blue bird of"]
    assert [one.score for one in found.worst] == pytest.approx([0, 0.5, 0.8])
    assert found.worst[0].label == "blue bird | bird"
    choice = Task(name="pick", template="{text} {choice}", kind="choice")
    asked = [Row({"text": "w"}, 0, choices=("x", "y"), answers=("x",))] * 3
    found = breakdown(choice, asked, [Outcome(n % 2, (0.4, 0.6), None) for n in range(3)], "test")
    assert [(one.label, one.answer, one.probability) for one in found.worst] == [("x", "y", 0.6)]


def test_tags_are_worst_where_the_fewest_words_are_right() -> None:
    task = Task(name="tag", kind="tags", labels=["O", "B-PER", "I-PER"])
    rows = [Row({"text": "Ada Lovelace"}, (1, 2), words=("Ada", "Lovelace"), line=n) for n in range(3)]
    found = breakdown(task, rows, [Outcome(tags, (0.9, 0.9), 1.0) for tags in ((1, 2), (1, 0), (0, -1))], "test")
    assert [(one.line, one.label, one.answer, one.score) for one in found.worst] == [
        (2, "B-PER I-PER", "O O", 0.0), (1, "B-PER I-PER", "B-PER O", 0.5),
    ]  # fmt: skip
    assert (found.classes, found.majority) == ((), None)


def test_a_part_of_a_passage_is_worst_where_it_shares_no_word() -> None:
    task = Task(name="where", kind="extraction")
    rows = [Row({"context": "a b c", "question": "w"}, (2, 3), answers=("b",))] * 2
    found = breakdown(task, rows, [Outcome("b", (0.9,), 1.0), Outcome("c", (0.7,), 2.0)], "test").worst
    assert [(one.label, one.answer, one.score, one.probability) for one in found] == [("b", "c", 0.0, 0.7)]


def test_what_is_long_is_shortened_to_a_line() -> None:
    task = Task(name="pair", template="{one} {two} {mask}", labels=["x", "y"])
    row = Row({"one": "a\nb " * 4000, "two": "short"}, 0)
    found = breakdown(task, [row], [Outcome(1, (0.1, 0.9), None)], "test").worst[0]
    assert found.text.startswith("one: a b a b")
    assert found.text.endswith("two: short")
    assert "\n" not in found.text
    assert len(found.text) < 250
    assert (found.file, found.line) == ("", None)


def test_a_row_knows_its_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\nw1,cat\n\nw3,fox\n")
    rows = THREE.labelled_rows(tmp_path / "t.csv")
    assert [(Path(row.file).name, row.line) for row in rows] == [("t.csv", 2), ("t.csv", 4)]
    assert rows[0] == Row({"text": "w1"}, 0)  # where it stands makes it no other row
    assert [row.line for row in THREE.rows_of(["w1", "w2"])] == [1, 2]


def test_a_fact_that_no_score_counts_is_no_mistake() -> None:
    """Its right answers are no candidates, so the metrics leave it out."""
    task = Task(kind="fact", template="{text} {mask}")
    rows = [Row({"text": f"text {place}"}, "cat", answers=("cat",)) for place in range(3)]
    found = [Outcome("dog", (0.5,), 1.0, rank=rank) for rank in (2, 0, 1)]
    assert [one.text for one in breakdown(task, rows, found, "test").worst] == ["text 0"]
