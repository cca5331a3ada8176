"""From a table to a task: its definition, its rows, and what is told of both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task

from ...shared.tables import jsonl, write

TEAMS = ("billing_team", "tech", "other")


def message(row: int) -> str:
    return f"where is my parcel {row}, it should be here by now"


ROWS = [
    {"id": row, "created": f"2024-01-{row % 28 + 1:02d}", "message": message(row), "team": TEAMS[row % 3]}
    for row in range(60)
]


def csv(path: Path, rows: Any = ROWS) -> Path:
    import pandas as pd

    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_the_definition_and_what_is_told(tmp_path: Path) -> None:
    task = Task.from_file(csv(tmp_path / "tickets.csv"))
    assert task.model_dump(exclude_defaults=True) == {
        "name": "tickets",
        "fields": ("message",),
        "template": "{message}\nTeam: {mask}",
        "templates": {"mask": "{message}\nTeam: {mask}."},
        "labels": {"billing_team": "billing team", "other": "other", "tech": "tech"},
        "metrics": ("accuracy", "macro_f1"),
        "columns": {"label": ("team",)},
    }
    told = "text: message; label: team (3 classes: billing_team, other, tech); --text, --label choose others"
    splits = task.splits()
    assert (task.guessed, task.notes, splits.notes[0]) == (True, (told,), told)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [48, 6, 6]
    assert not Task.load("sst2").guessed


def test_every_format_gives_the_same_task(tmp_path: Path) -> None:
    import datasets
    import pandas as pd

    frame = pd.DataFrame(ROWS)
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_excel(tmp_path / "t.xlsx", index=False)
    jsonl(tmp_path / "t.jsonl", ROWS)
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    named = datasets.Dataset.from_list(ROWS).class_encode_column("team")
    files = [csv(tmp_path / "t.csv"), *(tmp_path / name for name in ("t.parquet", "t.xlsx", "t.jsonl", "saved"))]
    made = [Task.from_file(place) for place in (*files, frame, ROWS, iter(ROWS), named)]
    found = {(json.dumps({**one.model_dump(), "name": ""}), repr(one.splits().train)) for one in made}
    assert len(found) == 1


def test_several_texts_are_told_apart_by_their_names_in_the_template() -> None:
    rows = [{"Ticket Title": f"about {n} and so on", "Body {x}": message(n), "label": n % 2} for n in range(20)]
    task = Task.from_file(rows, ["Ticket Title", "Body {x}"])
    assert task.template == "Ticket Title: {ticket_title}\nBody x: {body_x}\nLabel: {mask}"
    assert task.labels == {"0": "no", "1": "yes"}
    row = task.splits().train[0]
    assert row.fields["body_x"].startswith("where is my parcel")
    assert Task.from_file(rows, "Body {x}").fields == ("body_x",)


NEWS = ["World", "Sports", "Business", "Sci/Tech"]


def test_a_file_without_names_of_columns(tmp_path: Path) -> None:
    lines = [
        f'"{n % 4 + 1}","{NEWS[n % 4]} news {n} of today","It is told, that {n} things came to pass"' for n in range(40)
    ]
    task = Task.from_file(write(tmp_path / "train.csv", "\n".join(lines) + "\n"))
    assert (task.headerless, task.fields) == (("label", "text1", "text2"), ("text1", "text2"))
    assert task.labels == {"1": "one", "2": "two", "3": "three", "4": "four"}
    rows = task.splits().train
    assert rows[0].fields["text2"].startswith("It is told")
    assert len(task.rows_from(tmp_path / "train.csv")) == 40
    assert Task.from_file(tmp_path / "train.csv", text="column3").headerless == ("label", "column2", "text")


def test_folders_of_parts_and_files_of_parts(tmp_path: Path) -> None:
    folder = tmp_path / "mails"
    folder.mkdir()
    csv(folder / "train.csv", ROWS[:40])
    csv(folder / "test.csv", [*ROWS[40:], {**ROWS[0], "message": "a new team has come to life", "team": "new"}])
    task = Task.from_file(folder)
    assert (task.name, [*task.labels]) == ("mails", ["billing_team", "new", "other", "tech"])
    assert len(task.splits().test) == 21
    apart = Task.from_file(folder / "train.csv", test_data=folder / "test.csv")
    assert apart.labels == task.labels
    assert len(apart.splits().test) == 21
    csv(folder / "test.csv", [{**row, "team": -1} for row in ROWS[40:]])
    assert "-1" not in Task.from_file(folder).labels


def test_squads_own_file(tmp_path: Path) -> None:
    asked = [
        {"id": str(n), "question": f"who has {n}?", "answers": [{"text": f"the {n}th", "answer_start": 0}]}
        for n in range(20)
    ]
    text = " ".join(f"the {n}th" for n in range(20))
    article = {"title": "t", "paragraphs": [{"context": text, "qas": asked}]}
    path = write(tmp_path / "squad.json", json.dumps({"version": "1.1", "data": [article]}))
    task = Task.from_file(path)
    assert (task.kind, task.layout, len(task.splits().train)) == ("extraction", "squad", 16)
    assert "layout: squad" in task.notes[0]


def test_free_text_and_numbers_where_they_are_asked_for() -> None:
    rows = [{"article": message(n) * 3, "summary": f"parcel {n} is late again", "score": n / 3} for n in range(20)]
    task = Task.from_file(rows, "article", "summary")
    assert (task.kind, task.template) == ("generation", "{article}\nSummary: {mask}")
    assert {row.label for row in task.splits().train} <= {row["summary"] for row in rows}
    task = Task.from_file(rows, "article", "score")
    assert (task.kind, task.bounds) == ("regression", (0, 19 / 3))
    assert "label: score (a number from 0 to 6.33333)" in task.notes[0]
    others = [
        {"answers": f"the reply to number {n}", "text": message(n), "label": f"free words of {n}"} for n in range(20)
    ]
    task = Task.from_file(others, "text", "label")
    assert {row.label for row in task.splits().train} <= {row["label"] for row in others}


@pytest.mark.parametrize("data", [None, 3, b"x", "no/such/file.csv", [], [1, 2]])
def test_what_is_no_table_is_refused(data: Any) -> None:
    with pytest.raises(SoftPromptError) as error:
        Task.from_file(data)
    assert "\n" not in str(error.value)


def test_a_file_without_names_needs_classes(tmp_path: Path) -> None:
    lines = "".join(f"{message(n)},{message(n * 3)} and so on and on\n" for n in range(20))
    path = write(tmp_path / "a.tsv", lines.replace(", it", " it").replace(",", "\t"))
    with pytest.raises(SoftPromptError, match="no line names its columns, and only classes"):
        Task.from_file(path, "column1", "column2")
