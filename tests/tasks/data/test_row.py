"""A row of a flat record: where its answer may stand, and what is said where it stands nowhere."""

from __future__ import annotations

from softprompt.tasks import Task
from softprompt.tasks.data.row import no_label, raw_label

ASKED = Task(kind="generation", template="{question} {mask}", columns={"answers": ("answer",), "label": ("target",)})
CLASSES = Task(template="{text} {mask}", labels=["0", "1"])


def test_answers_come_before_a_label() -> None:
    assert raw_label(ASKED, {"answer": {"value": "a", "aliases": ["b"]}, "target": "c"}) == ("a", "b")
    assert raw_label(ASKED, {"target": "c"}) == "c"
    assert raw_label(ASKED, {"question": "q"}) is None
    # What is secret, and what a classification does not look at.
    assert raw_label(CLASSES, {"label": -1}) is None
    assert raw_label(CLASSES, {"answers": ["0"], "label": 1}) == 1


def test_the_columns_that_are_there_are_named() -> None:
    assert no_label(ASKED, {"answer": []}).what == "the row has no label in column 'answer'"
    assert no_label(CLASSES, {"text": "a", "label": ""}).what == "the row has no label in column 'label'"
    fault = no_label(CLASSES, {"text": "a", "LABEL": "1"})
    assert fault.what == "no column 'label' for the label (did you mean 'LABEL'?); found 'text' or 'LABEL'"
    assert fault.mend == "rename the column, or add it to the task's columns as label: LABEL"
