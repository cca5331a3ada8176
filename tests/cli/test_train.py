"""The command line as a user types it: results, exit codes, and one line for every fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from softprompt.backbones.tunable import percentage


def test_train(ask: Any, backbone: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    code, printed, _ = ask(
        "train", "--backbone", backbone, "--task", data / "task.yaml", "--data", data, "--method", "prompt_tuning",
        "--out", out, "--set", "num_virtual_tokens=3", "--set", "max_steps=2", "--seed", 7,
    )  # fmt: skip
    assert code == 0
    assert "prompt_tuning on words, seed 7" in printed
    assert all(len(line) <= 100 for line in printed.splitlines() if str(out) not in line)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["trained_parameters"] == 3 * 32
    share, size = metrics["tunable"]["percent"], metrics["tunable"]["backbone_parameters"]
    assert f"tunable: {percentage(share)} % of the backbone's {size:,} parameters\n" in printed
    assert metrics["backbone"] == backbone.name  # and no place on this machine


def test_train_on_three_files_and_on_a_part_of_one(ask: Any, backbone: Path, data: Path, tmp_path: Path) -> None:
    rows = [f"w20 w{30 + n},{n % 2}" for n in range(40)]
    for name, part in (("train", rows), ("v", rows[:6]), ("t", rows[6:16])):
        (tmp_path / f"{name}.csv").write_text("\n".join(["sentence,label", *part]) + "\n")
    common = ["--task", data / "task.yaml", "--data", tmp_path / "train.csv", "--method", "prompt_tuning"]
    common += ["--backbone", backbone, "--set", "max_steps=1"]
    files = ["--validation-data", tmp_path / "v.csv", "--test-data", tmp_path / "t.csv"]
    for number, (options, sizes) in enumerate(
        [
            (files, "40 training, 6 validation, 10 test rows (given files)"),
            (["--test-size", "0.5"], "18 training, 2 validation, 20 test rows (one file)"),
            (["--shots", "3"], "6 training, 6 validation, 28 test rows (one file)"),
        ]
    ):
        code, _, err = ask("train", *common, *options, "--out", tmp_path / f"{number}")
        assert code == 0, err
        assert sizes in err
    code, printed, _ = ask("evaluate", tmp_path / "1", "--data", tmp_path / "train.csv", "--split", "test", "--json")
    assert code == 0
    found = json.loads(printed)
    assert (found["rows"], found["left_out_rows"]) == (20, 0)
    assert found["loss"] == json.loads((tmp_path / "1" / "metrics.json").read_text())["test"]["loss"]


def _train(**changes: Any) -> Any:
    def words(backbone: Path, data: Path, out: Path) -> list[Any]:
        given = {
            "--backbone": backbone, "--task": data / "task.yaml", "--data": data, "--out": out,
            "--method": "prompt_tuning",
            "--set": "max_steps=1", **{f"--{key}": value for key, value in changes.items()},
        }  # fmt: skip
        return ["train", *(word for pair in given.items() if pair[1] is not None for word in pair)]

    return words


def _with_file(name: str, content: bytes, **changes: Any) -> Any:
    def words(backbone: Path, data: Path, out: Path) -> list[Any]:
        folder = out.parent / "bad"
        folder.mkdir()
        for split in ("train", "dev", "test"):
            (folder / f"{split}.tsv").write_bytes((data / f"{split}.tsv").read_bytes())
        (folder / "task.yaml").write_bytes((data / "task.yaml").read_bytes())
        (folder / name).write_bytes(content)
        return _train(**{"data": folder, "task": folder / "task.yaml", **changes})(backbone, data, out)

    return words


YAML = b'name: words\ntemplate: "{sentence} {mask}"\nlabels: {"0": w10, "1": w11}\nmetrics: [accuracy]\n'
FAULTS = {
    "no such backbone": (_train(backbone="/no/such/model"), "/no/such/model"),
    "no such task": (_train(task="sst99"), "sst99"),
    "no such method": (_train(method="magic"), "choose from"),
    "no such data": (_train(data="/no/such/data"), "/no/such/data"),
    "no equals": (_train(set="max_steps"), "name=value"),
    "unknown option": (_train(set="speed=9"), "speed"),
    "wrong type": (_train(set="max_steps=many"), "max_steps"),
    "out of range": (_train(set="num_virtual_tokens=0"), "num_virtual_tokens"),
    "too long a prompt": (_train(set="num_virtual_tokens=64"), "num_virtual_tokens"),
    "readout of another kind": (_train(set="readout=mask"), "readout"),
    "out is a file": (lambda b, d, o: (o.write_text("x"), _train()(b, d, o))[1], "is a file"),
    "empty file": (_with_file("train.tsv", b""), "train.tsv"),
    "header only": (_with_file("train.tsv", b"sentence\tlabel\n"), "train.tsv"),
    "missing column": (_with_file("train.tsv", b"text\tlabel\nw20\t0\n"), "sentence"),
    "label outside the set": (_with_file("train.tsv", b"sentence\tlabel\nw20\t7\n"), "'7'"),
    "wrong encoding": (_with_file("train.tsv", b"sentence\tlabel\n\xff\xfe\xe9\t0\n"), "train.tsv"),
    "row without text": (_with_file("train.tsv", b"sentence\tlabel\n\t0\nw20 w30\t1\n"), "train.tsv"),
    "absent field": (_with_file("task.yaml", YAML.replace(b"{sentence}", b"{sentence} {title}")), "title"),
    "unknown metric": (_with_file("task.yaml", YAML.replace(b"accuracy", b"glory")), "glory"),
    "broken yaml": (_with_file("task.yaml", b"name: [words\n"), "task.yaml"),
    "label word unknown to the model": (_with_file("task.yaml", YAML.replace(b"w11", b"zebra")), "zebra"),
    "fixed text too long": (_with_file("task.yaml", YAML.replace(b"{mask}", b"w9 " * 80 + b"{mask}")), "w9"),
    "too many shots": (_train(shots=500), "500"),
}


@pytest.mark.parametrize("kind", list(FAULTS))
def test_a_fault_is_one_line_and_exit_code_1(kind: str, ask: Any, backbone: Path, data: Path, tmp_path: Path) -> None:
    words, message = FAULTS[kind]
    code, _, err = ask(*words(backbone, data, tmp_path / "out"))
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert code == 1, err
    assert len(lines) == 1
    assert err.splitlines()[-1] == lines[0]
    assert message in lines[0]
    assert "Traceback" not in err


@pytest.mark.parametrize("method", ["prompt_tuning", "capt", "p_tuning_v2", "deep_prompt"])
def test_a_run_starts_from_another_prompt(
    method: str,
    ask: Any,
    backbone: Path,
    data: Path,
    tmp_path: Path,
) -> None:
    common = [
        "train", "--backbone", backbone, "--task", data / "task.yaml", "--data", data, "--method", method,
        "--set", "max_steps=1", "--set", "learning_rate=1e-20",
    ]  # fmt: skip
    assert (
        ask(
            *common, "--out", tmp_path / "a", "--seed", 1, "--set", "init_std=0.5" if method == "capt" else "patience=5"
        )[0]
        == 0
    )
    assert ask(*common, "--out", tmp_path / "b", "--seed", 2, "--init-from", tmp_path / "a")[0] == 0
    from safetensors.torch import load_file

    one, other = (load_file(tmp_path / name / "prompt" / "prompt.safetensors") for name in "ab")
    assert all(abs(one[name] - other[name]).max() < 1e-6 for name in one)
    if method == "prompt_tuning":
        saved = ["--set", "init=saved", "--set", f"init_prompt={tmp_path / 'a'}"]
        assert ask(*common, "--out", tmp_path / "c", "--seed", 2, *saved)[0] == 0
        again = load_file(tmp_path / "c" / "prompt" / "prompt.safetensors")
        assert abs(one["table"] - again["table"]).max() < 1e-6


ASKED = """name: words
template: "{sentence} {mask}"
labels: {"0": w10, "1": w11}
patterns:
  asked: {template: "{sentence} w9{prompt} w8 {mask}", labels: {"0": w12, "1": w13}}
"""


def test_a_task_in_other_words(ask: Any, backbone: Path, data: Path, tmp_path: Path) -> None:
    """By a pattern's name or as a text; it is what the run records, goes on with and answers by."""
    (tmp_path / "words.yaml").write_text(ASKED)
    common = ["train", "--backbone", backbone, "--data", data, "--method", "p_tuning", "--set", "max_steps=1"]
    named = ["--task", tmp_path / "words.yaml", "--template", "Asked"]
    code, _, err = ask(*common, *named, "--set", "num_virtual_tokens=2", "--out", tmp_path / "a")
    assert code == 0, err
    recorded = json.loads((tmp_path / "a" / "run.json").read_text())["task_definition"]
    assert recorded["template"] == "{sentence} w9{prompt} w8 {mask}"
    assert recorded["labels"] == {"0": "w12", "1": "w13"}
    assert "patterns" not in recorded
    answers = ask("predict", tmp_path / "a", "w20 w41", "--json")[1]
    assert json.loads(answers)[0]["label"] in ("0", "1")
    # The same run by its name, and another one without it.
    words = [*common, "--set", "num_virtual_tokens=2", "--out", tmp_path / "a", "--resume"]
    assert ask(*words, *named)[0] == 0
    assert ask("train", "--out", tmp_path / "a", "--resume")[0] == 0
    code, _, err = ask(*words, "--task", tmp_path / "words.yaml")
    assert code == 1
    assert "task_definition.template" in err
    code, _, err = ask("train", "--out", tmp_path / "a", "--resume", "--template", "asked")
    assert (code, "records the words that it took" in err) == (1, True), err
    code, _, err = ask(*common, *named[:2], "--template", "ask", "--out", tmp_path / "b")
    assert (code, "did you mean 'asked'?" in err) == (1, True), err
    blocks = "{prompt:1} {sentence}{prompt:2} w7 {mask}"
    code, _, err = ask(*common, *named[:2], "--template", blocks, "--out", tmp_path / "c")
    assert (code, "places for 3 virtual tokens and the method has 9" in err) == (1, True), err
    three = ["--set", "num_virtual_tokens=3"]
    code, _, err = ask(*common, *named[:2], "--template", blocks, *three, "--out", tmp_path / "d")
    assert code == 0, err
    assert json.loads((tmp_path / "d" / "run.json").read_text())["task_definition"]["template"] == blocks


def test_a_table_in_other_words(ask: Any, backbone: Path, data: Path, tmp_path: Path) -> None:
    code, _, err = ask(
        "train", "--backbone", backbone, "--data", data / "train.tsv", "--template", "w9 {sentence} w8 {mask}",
        "--out", tmp_path / "a", "--set", "max_steps=1",
    )  # fmt: skip
    assert code == 0, err
    assert json.loads((tmp_path / "a" / "run.json").read_text())["task_definition"]["template"].startswith("w9 {")


def test_how_a_prompt_is_asked_is_told_as_it_can_be(ask: Any, backbone: Path, tmp_path: Path) -> None:
    rows = [f"w20 w41 w{40 + row}\tw30 w5{row % 9} w42\tw1{row % 2}" for row in range(20)]
    (tmp_path / "pairs.tsv").write_text("\n".join(["sentence1\tsentence2\tlabel", *rows]) + "\n")
    code, printed, err = ask(
        "train", "--backbone", backbone, "--data", tmp_path / "pairs.tsv", "--method", "head_only",
        "--out", tmp_path / "a run", "--set", "max_steps=1",
    )  # fmt: skip
    assert code == 0, err
    assert (
        f'ask it: softprompt predict \'{tmp_path / "a run"}\' --field sentence1="..." --field sentence2="..."'
        in printed
    )
    code, printed, err = ask("predict", tmp_path / "a run", "w20 w41")
    assert code == 1
    assert 'as JSON, {"sentence1": "...", "sentence2": "..."}, or by predict\'s --field' in err
    fields = ["--field", "sentence1=w20 w41", "--field", "sentence2=w30"]
    assert ask("predict", tmp_path / "a run", *fields)[0] == 0


def test_a_number_is_printed_alone(ask: Any, backbone: Path, tmp_path: Path) -> None:
    lines = "\n".join(["text,price", *(f"w20 w{40 + row},{row + 0.5}" for row in range(24))])
    (tmp_path / "prices.csv").write_text(f"{lines}\n")
    common = ["--method", "head_only", "--out", tmp_path / "run", "--set", "max_steps=1"]
    code, printed, err = ask(
        "train", "--backbone", backbone, "--data", tmp_path / "prices.csv", "--label", "price", *common
    )
    assert code == 0, err
    assert f'ask it: softprompt predict {tmp_path / "run"} "..."' in printed
    code, printed, _ = ask("predict", tmp_path / "run", "w20 w41")
    assert (code, printed) == (0, f"{printed.strip()}\n")
    assert float(printed)
