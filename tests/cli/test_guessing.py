"""From a table alone to a trained prompt and a file of answers, with no YAML; and `--text` and `--label`."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

ROWS = [(n, f"w20 w{30 + n} w{70 - n}", ("w10", "w11")[n % 2]) for n in range(40)]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tickets") / "tickets.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "message", "category"), *ROWS])
    return path


@pytest.fixture(scope="module")
def run(table: Path, backbone: Path, tmp_path_factory: pytest.TempPathFactory, ask: Any) -> tuple[Path, str]:
    """A run of one step, and what it told."""
    out = tmp_path_factory.mktemp("runs") / "tickets"
    code, _, err = ask("train", "--data", table, "--backbone", backbone, "--out", out, "--set", "max_steps=1")
    assert code == 0, err
    return out, err


def test_what_was_chosen_is_told_at_the_start(run: tuple[Path, str]) -> None:
    told = [line.strip() for line in run[1].splitlines()]
    assert told[0].startswith("method: prefix_tuning (the default for decoder-only models")
    assert told[1].startswith("tickets: 32 training, 4 validation, 4 test rows (one file)")
    assert told[2] == "note: text: message; label: category (2 classes: w10, w11); --text, --label choose others"
    assert told[3].startswith("answers: a linear head, since labels such as 'w10' are no words; --set readout=text")


def test_the_prompt_carries_its_task(run: tuple[Path, str], table: Path, tmp_path: Path, ask: Any) -> None:
    out = run[0]
    code, printed, err = ask("predict", out, "--file", table, "--out", tmp_path / "answers.csv")
    assert code == 0, err
    with (tmp_path / "answers.csv").open(newline="") as file:
        answers = list(csv.DictReader(file))
    assert [(int(one["id"]), one["message"], one["category"]) for one in answers] == ROWS
    assert {one["label"] for one in answers} <= {"w10", "w11"}
    code, printed, err = ask("evaluate", out, "--data", table, "--json")
    assert (code, json.loads(printed)["rows"]) == (0, 4), err
    card = (out / "prompt" / "README.md").read_text()
    assert "- Rows: the text is column `message`; the label is column `category`" in card


def test_it_goes_on_without_another_word(run: tuple[Path, str], ask: Any) -> None:
    out = run[0]
    recorded = json.loads((out / "run.json").read_text())
    assert recorded["task_definition"]["columns"] == {"label": ["category"]}
    (out / "metrics.json").unlink()
    before = (out / "prompt" / "prompt.safetensors").read_bytes()
    code, _, err = ask("train", "--resume", "--out", out)
    assert code == 0, err
    assert (out / "prompt" / "prompt.safetensors").read_bytes() == before
    code, _, err = ask("train", "--resume", "--out", out, "--label", "category")
    assert (code, "finished already" in err) == (0, True), err
    code, _, err = ask("train", "--resume", "--out", out, "--text", "message,id")
    assert (code, "task_definition" in err) == (1, True), err


def test_columns_are_chosen(table: Path, backbone: Path, tmp_path: Path, ask: Any) -> None:
    words = ["train", "--data", table, "--backbone", backbone, "--set", "max_steps=1", "--method", "prompt_tuning"]
    code, _, err = ask(*words, "--text", "message,id", "--label", "category", "--out", tmp_path / "a")
    assert (code, "text: message, id; label: category" in err) == (0, True), err
    faults = {
        "no column 'mesage'; did you mean 'message'?": ["--text", "mesage"],
        "--text and --label are of a table without --task": ["--task", "sst2", "--label", "category"],
    }
    for message, more in faults.items():
        code, _, err = ask(*words, *more, "--out", tmp_path / "b")
        assert (code, message in err, len(err.splitlines())) == (1, True, 1), err


def test_options_are_looked_at_before_the_method_is_known(table: Path, tmp_path: Path, ask: Any) -> None:
    words = ["train", "--data", table, "--backbone", "/no/such/model", "--out", tmp_path / "a"]
    code, _, err = ask(*words, "--set", "lr=1")
    assert (code, err.strip().splitlines()[-1].startswith("error: --set lr: no such option; did you mean")) == (1, True)


def test_layers_are_chosen_and_compared_on_a_table(table: Path, backbone: Path, tmp_path: Path, ask: Any) -> None:
    words = ["select", "--backbone", backbone, "--out", tmp_path / "s", "--method", "capt", "--arms", "all"]
    code, _, err = ask(*words, "--data", table, "--seeds", "1", "--set", "max_steps=1")
    assert (code, "text: message; label: category" in err) == (0, True), err
    code, _, err = ask(*words)
    assert (code, "no --task: give it, or --data with a table" in err) == (1, True), err


def test_a_prompt_is_asked_about_another_table(run: tuple[Path, str], table: Path, tmp_path: Path, ask: Any) -> None:
    other = tmp_path / "mails.csv"
    rows = [f"{n},w20 w{30 + n} w{60 - n},{('w10', 'w11')[n % 2]}" for n in range(20)]
    other.write_text("\n".join(["nr,body,topic", *rows]) + "\n")
    words = ["transfer", run[0], "--data", other, "--fields", "message=body", "--json"]
    code, printed, err = ask(*words)
    assert code == 0, err
    assert json.loads(printed)["target"]["rows"] == 20
    code, _, err = ask("transfer", run[0])
    assert (code, "no --task: give it, or --data with a table" in err) == (1, True), err


def test_a_table_with_other_names_is_scored(run: tuple[Path, str], tmp_path: Path, ask: Any) -> None:
    other = tmp_path / "mails.csv"
    other.write_text("\n".join(["body,topic", *(f"w20 w{n} w6,{('w10', 'w11')[n % 2]}" for n in range(20, 40))]) + "\n")
    code, printed, err = ask("evaluate", run[0], "--data", other, "--text", "body", "--label", "topic", "--json")
    assert (code, json.loads(printed)["rows"]) == (0, 20), err
    code, _, err = ask("evaluate", run[0], "--data", other, "--text", "body,topic")
    assert (code, "--text names 2 columns, and task 'tickets' has the fields message" in err) == (1, True), err
    other.write_text("message,category\nw20 w6,w10\n")  # the task's own columns would be there
    for words in (["--text", "mesage"], ["--label", "categorie"]):
        code, printed, err = ask("evaluate", run[0], "--data", other, *words)
        assert (code, printed) == (1, "")
        assert f"no column '{words[1]}'; did you mean" in err
