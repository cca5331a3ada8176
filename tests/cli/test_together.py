"""The verbs over several prompts or tasks: ensemble, explain, transfer, adapt, and train --init-from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ..shared.models import model, tokenizer

OTHER = 'name: other\ntemplate: "{sentence} {mask}"\nlabels: {nay: w12, yea: w13}\nmetrics: [accuracy]\n'


@pytest.fixture(scope="module")
def runs(backbone: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    from softprompt.cli.train import train

    folders = [tmp_path_factory.mktemp("runs") / f"seed{seed}" for seed in (1, 2, 3)]
    for seed, folder in enumerate(folders, 1):
        train(
            backbone=str(backbone), task=str(data / "task.yaml"), method="prompt_tuning", out=folder, data=data,
            set_=["max_steps=2", "num_virtual_tokens=3", "learning_rate=0.01"], seed=seed, json=True,
        )  # fmt: skip
    return folders


@pytest.fixture(scope="module")
def other(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other")
    for name in ("train", "dev", "test"):
        text = (data / f"{name}.tsv").read_text().replace("\t0", "\tnay").replace("\t1", "\tyea")
        (folder / f"{name}.tsv").write_text(text)
    (folder / "task.yaml").write_text(OTHER)
    return folder


def narrow(printed: str) -> bool:
    return max(map(len, printed.splitlines())) <= 100


def test_ensemble(ask: Any, runs: list[Path], data: Path) -> None:
    common = ["--task", data / "task.yaml", "--data", data]
    code, printed, _ = ask("ensemble", *runs, *common, "--json")
    assert code == 0
    found = json.loads(printed)
    own = [json.loads((run / "metrics.json").read_text())["test"] for run in runs]
    assert [member["accuracy"] for member in found["members"]] == [metrics["accuracy"] for metrics in own]
    assert [member["interval"] for member in found["members"]] == [metrics["interval"] for metrics in own]
    assert [member["seed"] for member in found["members"]] == [1, 2, 3]
    code, printed, _ = ask("ensemble", runs[0], *common, "--json")
    assert json.loads(printed)["vote"]["accuracy"] == own[0]["accuracy"]
    code, printed, _ = ask("ensemble", *(run / "prompt" for run in runs), *common)
    assert code == 0
    assert all(word in printed for word in ("majority vote", "mean probability", "95 % interval"))


def test_explain_nearest(ask: Any, runs: list[Path], tmp_path: Path) -> None:
    code, printed, _ = ask("explain", "nearest", runs[0], "-k", 3, "--json")
    assert code == 0
    found = json.loads(printed)
    assert [len(row["neighbours"]) for row in found["rows"]] == [3, 3, 3]
    assert [label["word"] for label in found["labels"]] == ["w10", "w11"]
    page = tmp_path / "nearest.html"
    code, printed, _ = ask("explain", "nearest", runs[0], "--page", page)
    assert code == 0
    assert narrow(printed.replace(str(page), ""))
    assert "label word 'w10': rank" in printed
    assert "Nearest words" in page.read_text()


def test_explain_similarity(ask: Any, runs: list[Path], tmp_path: Path) -> None:
    code, printed, _ = ask("explain", "similarity", *runs, "--json")
    assert code == 0
    assert [row[index] for index, row in enumerate(json.loads(printed)["mean_tokens"])] == pytest.approx([1, 1, 1])
    page = tmp_path / "similarity.html"
    code, printed, _ = ask("explain", "similarity", *runs, "--page", page)
    assert code == 0
    assert narrow(printed.replace(str(page), ""))
    assert "nearest to 1:" in printed
    assert page.is_file()


def test_transfer(ask: Any, runs: list[Path], data: Path, other: Path) -> None:
    common = [runs[0], "--task", other / "task.yaml", "--data", other]
    code, printed, _ = ask("transfer", *common, "--words", "w10=nay,w11=yea", "--json")
    assert code == 0
    found = json.loads(printed)
    own = json.loads((runs[0] / "metrics.json").read_text())["test"]
    assert found["source"]["accuracy"] == found["target"]["accuracy"] == own["accuracy"]
    assert found["source"]["split"] == "as trained"
    again = ["--source-data", data, "--source-task", data / "task.yaml"]
    code, printed, _ = ask("transfer", *common, "--words", "w10=nay,w11=yea", *again, "--json")
    assert json.loads(printed)["source"]["accuracy"] == own["accuracy"]
    code, printed, _ = ask("transfer", *common, "--words", "w10=yea, w11=nay", "--template", "target")
    assert code == 0
    assert narrow(printed)
    assert f"{1 - own['accuracy']:.3f}" in printed


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


def test_adapt(ask: Any, tmp_path: Path) -> None:
    model("t5").save_pretrained(tmp_path / "t5")
    tokenizer().save_pretrained(tmp_path / "t5")
    lines = [" ".join(f"w{20 + (start + step) % 70}" for step in range(9)) for start in range(60)]
    (tmp_path / "corpus.txt").write_text("\n".join(lines))
    common = ["adapt", "--backbone", tmp_path / "t5", "--text", tmp_path / "corpus.txt", "--batch-size", 4]
    code, printed, _ = ask(*common, "--steps", 3, "--out", tmp_path / "lm")
    assert code == 0
    assert "held-out loss" in printed
    code, printed, _ = ask(*common, "--steps", 3, "--out", tmp_path / "lm", "--resume", "--json")
    assert code == 0
    assert json.loads(printed)["history"][-1]["step"] == 3
    code, printed, _ = ask("methods", "--backbone", tmp_path / "lm" / "model")
    assert code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ensemble", "RUN", "/no/such/run"], "/no/such/run"),
        (["ensemble", "RUN", "--split", "exam", "--task", "TASK", "--data", "DATA"], "exam"),
        (["explain", "nearest", "/no/such/run"], "/no/such/run"),
        (["explain", "similarity", "RUN"], "two prompts"),
        (["explain", "nearest", "RUN", "--page", "/proc/no/page.html"], "cannot be written"),
        (["transfer", "RUN", "--task", "OTHER", "--data", "DATA2"], "--words"),
        (["transfer", "RUN", "--task", "OTHER", "--data", "DATA2", "--words", "w10"], "no pair"),
        (["transfer", "RUN", "--task", "OTHER", "--data", "DATA2", "--words", "w10=nay,w10=yea"], "twice"),
        (["transfer", "RUN", "--task", "OTHER", "--data", "DATA2", "--words", "w10=nay,w77=yea"], "w77"),
        (["transfer", "RUN", "--task", "OTHER", "--data", "DATA2", "--template", "mine"], "mine"),
        (["transfer", "RUN", "--task", "OTHER", "--data", "DATA2", "--source-task", "sst2"], "--source-data"),
        (["adapt", "--backbone", "BACKBONE", "--text", "DATA/task.yaml", "--out", "/tmp/none"], "not read"),
        (["adapt", "--backbone", "BACKBONE", "--text", "/no/corpus.txt", "--out", "/tmp/none"], "corpus.txt"),
        (["adapt", "--backbone", "BACKBONE", "--text", "TEXT", "--out", "/tmp/none"], "no encoder-decoder"),
    ],
)  # fmt: skip
def test_a_fault_is_one_line(
    words: list[str],
    message: str,
    ask: Any,
    runs: list[Path],
    backbone: Path,
    data: Path,
    other: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "text.txt").write_text("w20 w21 w22\n")
    named = {
        "RUN": runs[0], "TASK": data / "task.yaml", "DATA": data, "OTHER": other / "task.yaml", "DATA2": other,
        "BACKBONE": backbone, "DATA/task.yaml": data / "task.yaml", "TEXT": tmp_path / "text.txt",
    }  # fmt: skip
    code, _, err = ask(*(named.get(word, word) for word in words))
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert code == 1, err
    assert len(lines) == 1
    assert message in lines[0]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "verb", [["ensemble"], ["transfer"], ["adapt"], ["explain", "nearest"], ["explain", "similarity"]]
)
def test_every_verb_has_help_with_an_example(verb: list[str], ask: Any) -> None:
    code, printed, _ = ask(*verb, "--help")
    assert code == 0
    assert f"Example: softprompt {' '.join(verb)}" in " ".join(printed.split())
