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
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from softprompt.tasks import Row, Task

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


def _excel(frame: pd.DataFrame, path: Path) -> None:
    """As a German Excel saves csv: its separator said, Windows' encoding and line ends."""
    content = frame.to_csv(index=False, sep=";", lineterminator="\r\n")
    path.write_bytes(f"sep=;\r\n{content}".encode("cp1252"))


def _trailing(frame: pd.DataFrame, path: Path) -> None:
    """With an index, a column of no name and a delimiter at the end of each row."""
    frame.assign(**{"": ""}).to_csv(path, sep="|")


FILES: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "rows.csv": lambda frame, path: frame.to_csv(path, index=False),
    "windows.csv": lambda frame, path: frame.to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\r\n"),
    "wide.csv": lambda frame, path: frame.to_csv(path, index=False, encoding="utf-16"),
    "unmarked.csv": lambda frame, path: path.write_bytes(frame.to_csv(index=False).encode("utf-16-le")),
    "legacy.csv": lambda frame, path: frame.to_csv(path, index=False, encoding="cp1252"),
    "excel.csv": _excel,
    "semicolons.csv": lambda frame, path: frame.to_csv(path, index=False, sep=";"),
    "tabs.csv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "trailing.csv": _trailing,
    "rows.csv.gz": lambda frame, path: frame.to_csv(path, index=False),
    "rows.csv.bz2": lambda frame, path: frame.to_csv(path, index=False),
    "rows.csv.xz": lambda frame, path: frame.to_csv(path, index=False),
    "rows.tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "rows.jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True, date_format="iso"),
    "rows.ndjson": lambda frame, path: frame.to_json(path, orient="records", lines=True, date_format="iso"),
    "rows.json": lambda frame, path: frame.to_json(path, orient="records", date_format="iso"),
    "lines.json": lambda frame, path: frame.to_json(path, orient="records", lines=True, date_format="iso"),
    "rows.parquet": lambda frame, path: frame.to_parquet(path),
    "rows.feather": lambda frame, path: frame.to_feather(path),
    "stream.arrow": _stream,
    "folder": _on_disk,
}
if importlib.util.find_spec("openpyxl"):
    FILES["rows.xlsx"] = lambda frame, path: frame.to_excel(path, index=False)


class Columns:
    """What hands its columns on as polars' frames do, and is nothing else."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def _views(frame: pd.DataFrame) -> Columns:
    """Texts as polars holds them."""
    table = _arrow(frame)
    types = [pa.string_view() if field.type == pa.string() else field.type for field in table.schema]
    cast = [column.cast(kind) for column, kind in zip(table.columns, types, strict=True)]
    return Columns(pa.Table.from_arrays(cast, names=table.column_names))


def _scalars(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows whose values are numpy's."""
    return [{name: frame[name].to_numpy()[place] for name in frame} for place in range(len(frame))]


HELD: dict[str, Callable[[pd.DataFrame], Any]] = {
    "frame": lambda frame: frame,
    "categories": lambda frame: frame.assign(label=frame["label"].astype("category")),
    "objects": lambda frame: frame.astype(object),
    "nullable types": lambda frame: frame.convert_dtypes(),
    "scalars": _scalars,
    "columns alone": _views,
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


# What a cell of a text may hold; é stands within a word, as it does in texts.
_PIECES = ["a", "b1", "café", "so", ",", ";", "|", '"', "\n", "'", "007", "1.0", "True", "null", "NA", " "]
_TEXT = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=5).map("".join).filter(str.strip)
_WARTS = {
    "day": st.none() | st.dates(datetime.date(1990, 1, 1), datetime.date(2030, 1, 1)),
    "count": st.integers(-5, 5),
    "share": st.sampled_from([0.5, -1.25, 3.75]),
    "sure": st.booleans(),
    "note": st.none() | _TEXT,
}


# A failing table is small already, and each example writes it in every format: it is not made smaller.
@settings(max_examples=4, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
@given(rows=st.lists(st.tuples(_TEXT, *_WARTS.values()), min_size=3, max_size=6), kind=st.sampled_from(list(KINDS)))
def test_every_wart_is_the_same_in_every_format(
    rows: list[tuple[Any, ...]], kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Texts with every delimiter in them, dates, numbers, truths and what is missing, under labels of every kind."""
    values, spellings = KINDS[kind]
    fields = ("text", *_WARTS)
    task = Task(template="".join(f"{{{name}}} " for name in fields) + "{mask}", labels=spellings[0])
    frame = pd.DataFrame([(f"{place}: {row[0]}", *row[1:]) for place, row in enumerate(rows)], columns=[*fields])
    frame["label"] = [values[place % 2] for place in range(len(rows))]
    expected = task.rows_of(frame)
    folder = tmp_path_factory.mktemp("warts")
    for form in FORMATS:
        data = of_format(frame, form, folder)
        found = task.rows_of(data) if form in HELD else task.labelled_rows(data, notes=[])
        assert [_shown(row) for row in found] == [_shown(row) for row in expected], form


def _shown(row: Row) -> tuple[object, ...]:
    """A row as all formats have it: in csv a truth has a capital, as Python writes it, and JSON has no dates."""
    texts = (text.removesuffix("T00:00:00.000") for text in row.fields.values())
    return (*({"True": "true", "False": "false"}.get(text, text) for text in texts), row.label)
