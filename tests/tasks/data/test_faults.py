"""All bad rows of a file are told at once, each with its line, or are left out and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import LONGEST_MESSAGE, SoftPromptError
from softprompt.tasks import Task

from ...shared.commands import refusal
from ...shared.tables import REVIEWS, jsonl, told, write

GOOD = "".join(f"good {n},1\nbad {n},0\n" for n in range(6))
TASK = Task(
    template="{text} It was {mask}",
    labels={"negative": "bad", "positive": "good"},
    label_aliases={"1": "positive", "0": "negative"},
)


def refused(path: Path, task: Task = TASK, **options: Any) -> str:
    with pytest.raises(SoftPromptError) as error:
        task.with_data(path, **options).splits()
    told(error)
    return str(error.value)


def test_every_fault_is_told_with_its_lines(tmp_path: Path) -> None:
    bad = " ,1\nempty label,\nodd,Postive\nanother,Positive\nodd too,Postive\nodd,zebra\n"
    message = refused(write(tmp_path / "rows.csv", f"text,label\n{GOOD}{bad}"))
    for part in (
        "rows.csv: 6 bad rows: line 14: no text in 'text'; line 15: the row has no label in column 'label'",
        "lines 16, 18: label 'Postive' is not one of 'negative' or 'positive' (did you mean 'positive'?)",
        "line 17: label 'Positive' is not one of 'negative' or 'positive' (did you mean 'positive'?)",
        "line 19: label 'zebra' is not one of 'negative' or 'positive'; mend them, or leave such rows out: skip_bad=",
    ):
        assert part in message


def test_faults_of_all_files_are_told_together(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", f"text,label\n{GOOD} ,1\n")
    write(tmp_path / "dev.csv", f"text,label\n{GOOD}a,2\n")
    message = refused(tmp_path)
    assert "train.csv: 1 bad row: line 14: no text" in message
    assert "dev.csv: 1 bad row: line 14: label '2'" in message


def test_what_is_too_much_for_a_message_is_counted(tmp_path: Path) -> None:
    bad = "".join(f"text,odd{n}\n" for n in range(30)) + ",\n" * 3 + "same,twice\n" * 9
    message = refused(write(tmp_path / "rows.csv", f"text,label\n{GOOD}{bad}"))
    assert "42 bad rows" in message
    assert "and 32 more rows with other faults; mend them" in message
    assert len(message) < LONGEST_MESSAGE
    many = refused(write(tmp_path / "many.csv", f"text,label\n{GOOD}{'same,twice' + chr(10):}" + "same,twice\n" * 8))
    assert "lines 14, 15, 16, 17, 18 and 4 more: label 'twice'" in many


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("Text,Label\na,1\n", "(did you mean 'Label'?); rename it, or name it in the task's columns"),
        (
            "text,Label\na,1\n",
            "line 2: no column 'label' for the label (did you mean 'Label'?); found 'text'",
        ),
        ("texts,label\na,1\n", "no column 'text' for the field 'text' (did you mean 'texts'?)"),
    ],
)
def test_a_column_that_is_spelt_nearly_so_is_named(tmp_path: Path, content: str, part: str) -> None:
    assert part in refused(write(tmp_path / "rows.csv", content))


def test_bad_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    good = write(tmp_path / "good.csv", f"text,label\n{GOOD}")
    path = write(tmp_path / "rows.csv", f"text,label\n{GOOD} ,1\nodd,Postive\n")
    splits, expected = TASK.with_data(path, skip_bad=True).splits(), TASK.with_data(good).splits()
    assert (splits.train, splits.validation, splits.test) == (expected.train, expected.validation, expected.test)
    (note,) = splits.notes
    assert note.startswith("rows.csv: left out 2 bad rows: line 14: no text in 'text'; line 15: label 'Postive'")
    loaded = Task.load(
        "sst2", data=write(tmp_path / "sst2.tsv", "sentence\tlabel\n" + "a\t1\nb\t0\nc\t1\n \t1\n"), skip_bad=True
    )
    assert len(loaded.splits().train) == 1
    assert "no row of the file can be used" in refused(write(tmp_path / "none.csv", "text,label\n,\n"), skip_bad=True)


def test_one_bad_row_reads_as_ever(tmp_path: Path) -> None:
    message = refused(write(tmp_path / "rows.csv", f"text,label\n{GOOD} ,1\n"))
    assert message.endswith(
        "rows.csv, line 14: no text in 'text'; fill it in or delete the row; or leave such rows out: skip_bad=True, "
        "--skip-bad"
    )


def test_rows_of_python_are_told_together_too() -> None:
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.rows_of(["good", " ", {"text": "a", "label": "7"}, {"review": "a"}])
    told(error, "rows: 3 bad rows: line 2: no text", "line 3: label '7'", "line 4: no column 'text'")
    assert "skip" not in str(error.value)


def test_a_nested_record_loses_its_bad_rows_alone(tmp_path: Path) -> None:
    answers = [{"text": "x", "label": 1}, {"text": "y", "label": 5}, {"text": "z", "label": 0}]
    records = [
        {"idx": n, "passage": {"text": f"a{n}", "questions": [{"question": "b", "idx": 1, "answers": answers}]}}
        for n in range(4)
    ]
    path = jsonl(tmp_path / "train.jsonl", records)
    splits = Task.load("multirc").with_data(path, skip_bad=True).splits()
    assert "left out 4 bad rows: lines 1, 2, 3, 4: label '5'" in splits.notes[0]


def test_the_command_line_leaves_them_out(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", f"sentence,label\n{GOOD} ,1\n,0\n")
    words = (
        "train",
        "--backbone",
        tmp_path / "none",
        "--task",
        "sst2",
        "--method",
        "capt",
        "--out",
        tmp_path / "run",
        "--data",
        path,
    )
    assert "2 bad rows" in refusal(*words)
    assert "bad rows" not in refusal(*words, "--skip-bad")
