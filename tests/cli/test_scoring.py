"""No verb scores rows that a prompt was trained or chosen on without saying so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ..shared.commands import done, found, refusal

ROWS = [{"sentence": f"w{20 + 10 * (i % 2)} w{40 + i}", "label": str(i % 2)} for i in range(50)]
# Of the five test rows of seed 21 three are no row to train or to choose on for seed 8, and none is for seed 13.
SEEDS = (21, 8)


def table(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def one_file(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The options that name a table of 50 rows, of which 5 test, 5 validate and 40 train."""
    path = table(tmp_path_factory.mktemp("table") / "rows.jsonl", ROWS)
    return ["--task", data / "task.yaml", "--data", path]


@pytest.fixture(scope="module")
def runs(backbone: Path, one_file: list[Any], tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    from softprompt.cli.train import train

    place = tmp_path_factory.mktemp("runs")
    for seed in SEEDS:
        train(
            backbone=str(backbone), task=str(one_file[1]), method="prompt_tuning", out=place / f"{seed}", seed=seed,
            data=one_file[3], set_=["max_steps=2", "num_virtual_tokens=2", "learning_rate=0.01"], json=True,
        )  # fmt: skip
    return {seed: place / f"{seed}" for seed in SEEDS}


def texts(one_file: list[Any], seed: int, *parts: str) -> set[str]:
    """The texts of a division's parts."""
    from softprompt.tasks import Task

    splits = Task.load(one_file[1], data=one_file[3]).splits(seed)
    return {row.fields["sentence"] for part in parts for row in getattr(splits, part)}


def test_evaluate_takes_the_division_of_the_run(runs: dict[int, Path], one_file: list[Any]) -> None:
    own = json.loads((runs[21] / "metrics.json").read_text())["test"]
    again = found("evaluate", runs[21], *one_file)
    assert (again["seed"], again["rows"], again["seen_rows"], again["left_out_rows"]) == (21, 5, 0, 0)
    assert [again[name] for name in ("accuracy", "loss", "interval")] == [
        own[name] for name in ("accuracy", "loss", "interval")
    ]
    assert own["seen_rows"] == 0


def test_another_division_leaves_out_what_was_seen(runs: dict[int, Path], one_file: list[Any]) -> None:
    again = found("evaluate", runs[21], *one_file, "--seed", 8)
    assert (again["seed"], again["rows"], again["seen_rows"], again["left_out_rows"]) == (8, 3, 0, 2)
    told = done("evaluate", runs[21], *one_file, "--seed", 8).err
    assert "2 of 5 test rows were to train or to choose on, and are left out" in told
    assert "each of its 5 test rows of seed 13" in refusal("evaluate", runs[21], *one_file, "--seed", 13)


def test_flipped_labels_white_space_and_another_format_hide_nothing(
    runs: dict[int, Path], one_file: list[Any], tmp_path: Path
) -> None:
    """A table of rows that were seen, under other labels."""
    seen = sorted(texts(one_file, 21, "train", "validation"))
    rows = [{"sentence": f" {text.replace(' ', '  ')}\t", "label": str(i % 2)} for i, text in enumerate(seen)]
    path = table(tmp_path / "other.jsonl", rows)
    told = refusal("evaluate", runs[21], *one_file[:2], "--data", path)
    assert "each of its 4 test rows of seed 21 is one to train or to choose on" in told


def test_train_and_validation_rows_are_scored_and_told(runs: dict[int, Path], one_file: list[Any]) -> None:
    for split, count in (("train", 40), ("validation", 5)):
        again = found("evaluate", runs[21], *one_file, "--split", split)
        assert (again["rows"], again["seen_rows"], again["left_out_rows"]) == (count, count, 0)
        told = done("evaluate", runs[21], *one_file, "--split", split).err
        assert f"{count} of {count} {split} rows were to train or to choose on, and are scored" in told


def test_published_test_rows_stay_and_are_told(runs: dict[int, Path], one_file: list[Any], tmp_path: Path) -> None:
    seen = sorted(texts(one_file, 21, "train"))[:3]
    rows = [*({"sentence": text, "label": "0"} for text in seen), {"sentence": "w77 w78", "label": "1"}]
    table(tmp_path / "test.jsonl", rows)
    again = found("evaluate", runs[21], *one_file[:2], "--data", tmp_path)
    assert (again["rows"], again["seen_rows"], again["left_out_rows"]) == (4, 3, 0)
    told = done("evaluate", runs[21], *one_file[:2], "--data", tmp_path).err
    assert "3 of 4 test rows read like rows to train or to choose on, and are scored" in told


def test_no_member_of_an_ensemble_has_seen_a_row(runs: dict[int, Path], one_file: list[Any]) -> None:
    alone = found("ensemble", runs[21], *one_file)
    assert (alone["seed"], alone["rows"], alone["seen_rows"]) == (21, 5, 0)
    both = found("ensemble", *runs.values(), *one_file)
    assert (both["rows"], both["seen_rows"], both["left_out_rows"]) == (3, 0, 2)
    assert [member["seen_rows"] for member in both["members"]] == [0, 0]
    assert "give other --data" in refusal("ensemble", *runs.values(), *one_file, "--seed", 13)


def test_transfer_to_the_same_table_under_another_name(
    runs: dict[int, Path], one_file: list[Any], tmp_path: Path
) -> None:
    """Other names of the field and of the labels, and one field more."""
    rows = [{"title": "w9", "text": row["sentence"], "label": "ny"[int(row["label"])]} for row in ROWS]
    path = table(tmp_path / "other.jsonl", rows)
    (tmp_path / "other.yaml").write_text('name: other\ntemplate: "{title} {text} {mask}"\nlabels: {n: w12, y: w13}\n')
    common = ["transfer", runs[21], "--task", tmp_path / "other.yaml", "--data", path, "--words", "w10=n,w11=y"]
    common += ["--fields", "sentence=text"]
    target = found(*common)["target"]
    assert (target["rows"], target["seen_rows"], target["left_out_rows"]) == (5, 0, 0)
    both = found(*common, "--seed", 8, "--source-data", one_file[3])
    for side in ("source", "target"):
        assert [both[side][name] for name in ("rows", "seen_rows", "left_out_rows")] == [3, 0, 2]


def test_a_prompt_of_an_earlier_version_says_that_it_cannot_know(
    runs: dict[int, Path], one_file: list[Any], tmp_path: Path
) -> None:
    shutil.copytree(runs[21] / "prompt", tmp_path / "old")
    for name in ("rows.safetensors", "manifest.json"):
        (tmp_path / "old" / name).unlink()
    meta = json.loads((tmp_path / "old" / "prompt.json").read_text())
    del meta["rows"]
    (tmp_path / "old" / "prompt.json").write_text(json.dumps(meta))
    again = found("evaluate", tmp_path / "old", *one_file)
    assert (again["seed"], again["rows"], again["seen_rows"]) == (21, 5, None)
    assert "no record of all rows that were trained on" in done("evaluate", tmp_path / "old", *one_file).err
    assert found("ensemble", tmp_path / "old", runs[21], *one_file)["seen_rows"] is None


def test_the_prompts_own_task_needs_no_name(runs: dict[int, Path], one_file: list[Any]) -> None:
    again = found("evaluate", runs[21], *one_file[2:])
    assert (again["task"], again["rows"]) == ("words", 5)


def test_a_few_shot_run_is_evaluated_as_it_was_tested(backbone: Path, one_file: list[Any], tmp_path: Path) -> None:
    """Shots and the limit of test rows are the run's own, too; another table need not have rows for the shots."""
    run = tmp_path / "run"
    options = ["--set", "max_steps=1", "--shots", 4, "--max-test-rows", 3, "--seed", 21]
    done("train", "--backbone", backbone, *one_file, "--method", "capt", "--out", run, *options)
    own = json.loads((run / "metrics.json").read_text())["test"]
    again = found("evaluate", run, *one_file)
    assert [again[name] for name in ("rows", "loss")] == [own[name] for name in ("rows", "loss")]
    assert "3 test rows at most, as in training" in done("evaluate", run, *one_file).err
    train = found("evaluate", run, *one_file, "--split", "train")
    assert (train["rows"], train["seen_rows"]) == (8, 8)
    assert found("evaluate", run, *one_file, "--max-test-rows", 5)["rows"] == 5
    path = table(tmp_path / "new.jsonl", [{"sentence": f"w77 w{40 + i}", "label": str(i % 2)} for i in range(6)])
    assert found("evaluate", run, *one_file[:2], "--data", path)["rows"] == 1


def test_an_instruction_is_put_into_words_on_rows_that_were_not_seen(
    backbone: Path, one_file: list[Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    options = ["--set", "max_steps=1", "--set", "text=w50 w51", "--seed", 21]
    done("train", "--backbone", backbone, *one_file, "--method", "instruction", "--out", run, *options)
    words = found("discretise", run, *one_file, "--seed", 8)
    assert words["left_out_rows"] == 2
    for side in ("before", "after"):
        assert (words[side]["rows"], words[side]["seen_rows"]) == (3, 0)
