"""Tables whose rows bring candidates of their own."""

from __future__ import annotations

import pytest

from softprompt.tasks import Task


@pytest.mark.parametrize("label", ["place", "text", "name"])
def test_rows_with_candidates_of_their_own_make_a_choice(label: str) -> None:
    sums = [f"{row} and {row % 7}" for row in range(30)]
    texts = [[str(row), str(row + 1), str(row + 2)] for row in range(30)]
    right = [row % 3 for row in range(30)]
    answers = {
        "place": right,
        "text": [texts[row][right[row]] for row in range(30)],
        "name": ["ABC"[one] for one in right],
    }
    rows = [
        {
            "question": f"what is the sum of {sums[row]}",
            "options": {"text": texts[row], "label": ["A", "B", "C"]} if label == "name" else texts[row],
            "answer": answers[label][row],
        }
        for row in range(30)
    ]
    task = Task.from_file(rows, text="question", label="answer")
    assert (task.kind, task.template) == ("choice", "{question}\nAnswer: {choice}")
    assert "one of the row's own candidates" in task.notes[0]
    for row in task.splits().train:
        assert row.label == row.index % 3
        assert row.choices == tuple(texts[row.index])


def test_labels_that_are_no_candidates_of_their_rows_are_classes() -> None:
    texts = [f"where is my parcel {row} now" for row in range(30)]
    rows = [{"text": one, "choices": ["a", "b"], "label": ("red", "green")[n % 2]} for n, one in enumerate(texts)]
    assert Task.from_file(rows).kind == "classification"
