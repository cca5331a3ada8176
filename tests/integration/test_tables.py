"""One table in every format that is read gives the same rows and labels, whatever its label values are."""

from __future__ import annotations

import datetime
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa
import pytest

from softprompt.tasks import Task

from ..shared.pairwise import pairwise

TEXTS = [f"text {number}" for number in range(18)] + ['a "quoted" one', "of two\nlines", "with, a comma", "über"]
# The values of two classes in a table, and how a definition may spell them.
KINDS: dict[str, tuple[tuple[Any, Any], list[dict[Any, str]]]] = {
    "truths": (
        (True, False),
        [{True: "x", False: "y"}, {"true": "x", "false": "y"}, {"True": "x", "False": "y"}, {1: "x", 0: "y"}],
    ),
    "yes and no": ((True, False), [{"yes": "x", "no": "y"}, {"on": "x", "off": "y"}]),
    "numbers": ((1, 0), [{1: "x", 0: "y"}, {"1": "x", "0": "y"}, {1.0: "x", 0.0: "y"}, {"1.0": "x", "0.0": "y"}]),
    "numbers with a point": ((1.0, 0.0), [{1: "x", 0: "y"}, {"1.0": "x", "0.0": "y"}, {True: "x", False: "y"}]),
    "halves": ((0.5, -1.5), [{0.5: "x", -1.5: "y"}, {"0.50": "x", "-1.5": "y"}]),
    "codes": (("012", "007"), [{"012": "x", "007": "y"}]),
    "words": (("yes", "no"), [{"yes": "x", "no": "y"}]),
    "words with a space": (("not good", "Good"), [{"not good": "x", "Good": "y"}]),
    "dates": (
        (datetime.date(2024, 1, 2), datetime.date(2024, 1, 3)),
        [{"2024-01-02": "x", "2024-01-03": "y"}, {datetime.date(2024, 1, 2): "x", datetime.date(2024, 1, 3): "y"}],
    ),
}


def _arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


def _stream(frame: pd.DataFrame, path: Path) -> None:
    table = _arrow(frame)
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table)


def _on_disk(frame: pd.DataFrame, path: Path) -> None:
    datasets.Dataset.from_pandas(frame).save_to_disk(str(path))


FILES: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "rows.csv": lambda frame, path: frame.to_csv(path, index=False),
    "windows.csv": lambda frame, path: frame.to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\r\n"),
    "wide.csv": lambda frame, path: frame.to_csv(path, index=False, encoding="utf-16"),
    "rows.csv.gz": lambda frame, path: frame.to_csv(path, index=False),
    "rows.tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "rows.jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True, date_format="iso"),
    "rows.parquet": lambda frame, path: frame.to_parquet(path),
    "rows.feather": lambda frame, path: frame.to_feather(path),
    "stream.arrow": _stream,
    "folder": _on_disk,
}
if importlib.util.find_spec("openpyxl"):
    FILES["rows.xlsx"] = lambda frame, path: frame.to_excel(path, index=False)
HELD: dict[str, Callable[[pd.DataFrame], Any]] = {
    "frame": lambda frame: frame,
    "categories": lambda frame: frame.assign(label=frame["label"].astype("category")),
    "objects": lambda frame: frame.astype(object),
    "mappings": lambda frame: frame.to_dict("records"),
    "arrow table": _arrow,
    "dictionary": lambda frame: _arrow(frame.assign(label=frame["label"].astype("category"))),
    "data set": datasets.Dataset.from_pandas,
    "streamed data set": lambda frame: datasets.Dataset.from_pandas(frame).to_iterable_dataset(),
}
FORMATS = [*FILES, *HELD]
CASES = {
    (form, kind, number): (form, kind, f"{kind} {number}")
    for form in FORMATS
    for kind, (_, spellings) in KINDS.items()
    for number in range(len(spellings))
}


@pytest.fixture(scope="module", autouse=True)
def _no_bars() -> None:
    datasets.disable_progress_bars()


def of_format(frame: pd.DataFrame, form: str, folder: Path) -> Any:
    """What `Task.with_data` is given: a path or a table."""
    if form in HELD:
        return HELD[form](frame)
    FILES[form](frame, folder / form)
    return folder / form


def read(task: Task, data: Any) -> dict[str, Any]:
    """The labels of all rows by text."""
    splits = task.with_data(data).splits(1)
    return {row.fields["text"]: row.label for row in (*splits.train, *splits.validation, *splits.test)}


@pytest.mark.parametrize(("form", "kind", "number"), pairwise(CASES))
def test_a_table_is_the_same_in_every_format(form: str, kind: str, number: int, tmp_path: Path) -> None:
    values, spellings = KINDS[kind]
    labels = [values[place % 2] for place in range(len(TEXTS))]
    task = Task(template="{text} {mask}", labels=spellings[number])
    data = of_format(pd.DataFrame({"text": TEXTS, "label": labels}), form, tmp_path)
    assert read(task, data) == {text: place % 2 for place, text in enumerate(TEXTS)}


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_missing_is_missing_in_every_format(form: str, tmp_path: Path) -> None:
    """A text is empty; a label is missing, and the numbers of its column become floats."""
    task = Task(template="{title} {text} {mask}", labels={0: "x", 1: "y"}, kind="classification")
    frame = pd.DataFrame({"title": ["a", None, "c"], "text": ["d", "e", "f"], "label": [1, None, 0]})
    data = of_format(frame, form, tmp_path)
    rows = task.rows_of(data) if form in HELD else task.rows_from(data)
    assert [tuple(row.fields.values()) for row in rows] == [("a", "d"), ("", "e"), ("c", "f")]
    if form in HELD:
        assert [row.label for row in rows] == [1, None, 0]


@pytest.mark.parametrize("form", ["data set", "streamed data set", "folder", "rows.parquet", "arrow table", "splits"])
@pytest.mark.parametrize(
    "labels", [{"neg": "x", "pos": "y"}, {0: "x", 1: "y"}, {"pos": "y", "neg": "x"}, {"1": "y", "0": "x"}]
)
def test_names_of_classes_are_used_where_the_tasks_labels_are_names(
    form: str, labels: dict[Any, str], tmp_path: Path
) -> None:
    features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=["neg", "pos"]))
    data = datasets.Dataset.from_dict({"text": TEXTS, "label": [n % 2 for n in range(len(TEXTS))]}, features=features)
    task = Task(template="{text} {mask}", labels=labels)
    if form in ("folder", "rows.parquet"):
        (data.save_to_disk if form == "folder" else data.to_parquet)(str(tmp_path / form))
    forms: dict[str, Any] = {
        "data set": data.shuffle(seed=1),
        "streamed data set": data.to_iterable_dataset(),
        "arrow table": data.with_format("arrow")[:],
        "splits": datasets.DatasetDict(train=data),
    }
    words = {text: task.label_words()[label] for text, label in read(task, forms.get(form, tmp_path / form)).items()}
    assert words == {text: "xy"[place % 2] for place, text in enumerate(TEXTS)}
