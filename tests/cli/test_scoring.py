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


def test_of_its_own_file_evaluate_scores_what_the_run_was_tested_on(runs: dict[int, Path], one_file: list[Any]) -> None:
    own = json.loads((runs[21] / "metrics.json").read_text())["test"]
    for asked, left_out in (([], 45), (["--split", "test"], 0)):
        again = found("evaluate", runs[21], *one_file, *asked)
        assert (again["seed"], again["rows"], again["seen_rows"], again["left_out_rows"]) == (21, 5, 0, left_out)
        assert [again[name] for name in ("accuracy", "loss", "interval")] == [
            own[name] for name in ("accuracy", "loss", "interval")
        ]
    assert own["seen_rows"] == 0
    told = done("evaluate", runs[21], *one_file).err
    assert "45 of 50 rows of rows.jsonl were to train or to choose on, and are left out" in told
    assert "scored: 5 of 50 rows of rows.jsonl" in told


def test_a_file_of_new_rows_is_scored_whole(runs: dict[int, Path], one_file: list[Any], tmp_path: Path) -> None:
    """By every verb that scores; a folder keeps its division, and options ask for a part of the file."""
    rows = [{"sentence": f"w77 w{40 + i}", "label": str(i % 2)} for i in range(6)]
    path, task = table(tmp_path / "new.jsonl", rows), one_file[:2]
    assert "scored: all 6 rows of new.jsonl" in done("evaluate", runs[21], "--data", path).err
    assert "new.jsonl, 6 rows" in done("evaluate", runs[21], "--data", path).out
    for words in (["evaluate", runs[21]], ["ensemble", *runs.values()]):
        again = found(*words, "--data", path)
        assert (again["split"], again["rows"], again["seen_rows"], again["left_out_rows"]) == ("all", 6, 0, 0)
    assert found("transfer", runs[21], *task, "--data", path)["target"]["rows"] == 6
    assert found("evaluate", runs[21], "--data", path, "--max-test-rows", 4)["rows"] == 4
    for part in (["--split", "test"], ["--seed", 21]):
        again = found("evaluate", runs[21], "--data", path, *part)
        assert (again["split"], again["rows"]) == ("test", 1)
    assert "1 test rows of new.jsonl (one file, divided by seed 8)" in done(
        "evaluate", runs[21], "--data", path, "--seed", 8
    ).err  # fmt: skip
    table(tmp_path / "train.jsonl", rows)
    table(tmp_path / "test.jsonl", rows[:2])
    again = found("evaluate", runs[21], "--data", tmp_path)
    assert (again["split"], again["rows"]) == ("test", 2)
    assert f"2 test rows of {tmp_path.name} (published)" in done("evaluate", runs[21], "--data", tmp_path).err


BAD = "sentence;label\nw20 w30 café;1\nw30 w99;0\n;1\nw20 w98;7\nw20 w97;1\n"


@pytest.mark.parametrize("verb", ["evaluate", "ensemble", "transfer"])
@pytest.mark.parametrize("part", [[], ["--split", "test"]])
def test_bad_rows_are_left_out_and_told_and_so_is_how_a_file_was_read(
    verb: str, part: list[str], runs: dict[int, Path], one_file: list[Any], tmp_path: Path
) -> None:
    path = tmp_path / "new.csv"
    path.write_bytes((BAD + "".join(f"w2{n % 10} w6{n // 10} w99;{n % 2}\n" for n in range(40))).encode("cp1252"))
    words: list[Any] = [verb, runs[21], *([runs[8]] if verb == "ensemble" else []), "--data", path, *part]
    words += ["--task", one_file[1]] if verb == "transfer" else []
    told = refusal(*words)
    assert "2 bad rows: line 4: no text in 'sentence'; line 5: label '7' is not one of '0' or '1'" in told
    assert told.endswith("mend them, or leave such rows out: skip_bad=True, --skip-bad")
    told = done(*words, "--skip-bad")
    assert "new.csv: left out 2 bad rows: line 4: no text" in told.err
    assert "new.csv: read as Windows-1252, as it is not UTF-8 (line 2: 'café'); give encoding if that" in told.err
    assert "new.csv: cells are told apart by semicolons, as its header shows" in told.err
    assert "Windows-1252" not in done(*words, "--skip-bad", "--encoding", "latin-1").err
    assert "Windows-1252" not in done(*words, "--skip-bad", "--quiet").err


def test_an_encoding_that_is_none_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    for words in (["evaluate"], ["predict", "--file", tmp_path / "a.csv"], ["ensemble"], ["discretise"]):
        told = refusal(words[0], tmp_path / "no run", *words[1:], "--encoding", "rot13")
        assert "--encoding 'rot13' is no encoding of text" in told


def test_a_prompt_carries_its_task(runs: dict[int, Path], one_file: list[Any], tmp_path: Path) -> None:
    """By no name and by its own, in any spelling, wherever its YAML is now."""
    shutil.copytree(runs[21] / "prompt", tmp_path / "prompt")
    for verb in ("evaluate", "ensemble"):
        for task in ([], ["--task", "words"], ["--task", "WORDS"]):
            again = found(verb, tmp_path / "prompt", *one_file[2:], *task)
            assert (again["task"], again["rows"]) == ("words", 5)
    common = ["transfer", tmp_path / "prompt", "--task", "words", "--data", one_file[3]]
    both = found(*common, "--source-task", "words", "--source-data", one_file[3])
    assert [both[side]["rows"] for side in ("source", "target")] == [5, 5]
    assert "no task 'other'" in refusal("evaluate", tmp_path / "prompt", *one_file[2:], "--task", "other")


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
    assert "other.jsonl: each of its 45 rows is one to train or to choose on" in told


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
    for asked, left_out in (([], 47), (["--split", "test"], 2)):
        both = found("ensemble", *runs.values(), *one_file, *asked)
        assert (both["rows"], both["seen_rows"], both["left_out_rows"]) == (3, 0, left_out)
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
    assert (target["rows"], target["seen_rows"], target["left_out_rows"]) == (5, 0, 45)
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


def test_a_few_shot_run_is_evaluated_as_it_was_tested(backbone: Path, one_file: list[Any], tmp_path: Path) -> None:
    """Shots and the limit of test rows are the run's own, too, where a part is asked for; a whole file has neither."""
    run = tmp_path / "run"
    options = ["--set", "max_steps=1", "--shots", 4, "--max-test-rows", 3, "--seed", 21]
    done("train", "--backbone", backbone, *one_file, "--method", "capt", "--out", run, *options)
    own = json.loads((run / "metrics.json").read_text())["test"]
    for asked in (["--split", "test"], ["--max-test-rows", 3]):
        again = found("evaluate", run, *one_file, *asked)
        assert [again[name] for name in ("rows", "loss")] == [own[name] for name in ("rows", "loss")]
    assert found("evaluate", run, *one_file)["rows"] == 50 - 8 - 8
    assert "3 test rows at most, as in training" in done("evaluate", run, *one_file, "--split", "test").err
    train = found("evaluate", run, *one_file, "--split", "train")
    assert (train["rows"], train["seen_rows"]) == (8, 8)
    assert found("evaluate", run, *one_file, "--max-test-rows", 5)["rows"] == 5


def test_an_instruction_is_put_into_words_on_rows_that_were_not_seen(
    backbone: Path, one_file: list[Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    options = ["--set", "max_steps=1", "--set", "text=w50 w51", "--seed", 21]
    done("train", "--backbone", backbone, *one_file, "--method", "instruction", "--out", run, *options)
    words = found("discretise", run, *one_file, "--seed", 8)
    assert words["left_out_rows"] == 2
    assert found("discretise", run, *one_file[2:])["left_out_rows"] == 45
    for side in ("before", "after"):
        assert (words[side]["rows"], words[side]["seen_rows"]) == (3, 0)


def test_what_is_asked_is_refused_before_a_backbone_is_loaded(
    runs: dict[int, Path], one_file: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that is not there, one of other labels, rows that cannot be read: by every verb that scores."""

    def loaded(*_: Any, **__: Any) -> None:
        raise AssertionError("the backbone was loaded first")

    monkeypatch.setattr("softprompt.backbones.load.load_backbone", loaded)
    monkeypatch.setattr("softprompt.explain.discretise.check_method", lambda method: None)  # it is of another one
    (tmp_path / "other.yaml").write_text('template: "{sentence} {mask}"\nlabels: {nay: w12, yea: w13}\n')
    bad = table(tmp_path / "bad.jsonl", [*ROWS[:3], {"sentence": "w20", "label": "7"}])
    verbs = (["evaluate", runs[21]], ["ensemble", *runs.values()], ["discretise", runs[21]])
    for words in verbs:
        assert "no task 'none'" in refusal(*words, "--task", "none")
        assert "nay, yea" in refusal(*words, "--task", tmp_path / "other.yaml", "--data", one_file[3])
    for words in (*verbs, ["transfer", runs[21], *one_file[:2]]):
        assert "bad.jsonl, line 4" in refusal(*words, "--data", bad)
        assert "gone.csv" in refusal(*words, "--data", tmp_path / "gone.csv")
    again = ["--source-data", tmp_path / "gone.csv"]
    assert "gone.csv" in refusal("transfer", runs[21], *one_file, *again)
