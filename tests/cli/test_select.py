"""Choosing layers on the command line: `train --select`, and `select` with its controls, resumed and refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from ..shared.commands import refusal
from ..shared.runs import QUICK


def told(command: list[Any], data: Path, backbone: Path) -> list[Any]:
    common = ["--backbone", backbone, "--task", data / "task.yaml", "--data", data]
    return [*command, *common, *(word for name, value in QUICK.items() for word in ("--set", f"{name}={value}"))]


def one_line(err: str) -> str:
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]


def test_train_select(ask: Any, backbone: Path, data: Path, tmp_path: Path) -> None:
    common = told(["train", "--method", "capt"], data, backbone)
    code, _, err = ask(*common, "--select", "learned:2", "--out", tmp_path / "a")
    assert code == 0, err
    metrics = json.loads((tmp_path / "a" / "metrics.json").read_text())
    assert len(metrics["kept_layers"]) == 2
    assert metrics["options"]["method"]["select"] == "learned:2"
    code, printed, _ = ask(*common, "--select", "0,2", "--out", tmp_path / "b", "--json")
    assert (code, json.loads(printed)["kept_layers"]) == (0, [0, 2])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "lora", "--select", "first:1"], "capt, deep_prompt, p_tuning_v2, spt"),
        (["--method", "capt", "--select", "firstly"], "learned:K"),
        (["--method", "capt", "--select", "first:9"], "choose K from 1 to 3"),
        (["--method", "capt", "--select", "all", "--set", "select=input"], "leave one of them out"),
    ],
)
def test_a_select_that_cannot_be(
    words: list[str],
    message: str,
    ask: Any,
    backbone: Path,
    data: Path,
    tmp_path: Path,
) -> None:
    code, _, err = ask(*told(["train", *words], data, backbone), "--out", tmp_path / "run")
    assert code == 1
    assert message in one_line(err)


def test_what_divides_the_rows_is_taken(backbone: Path, data: Path, tmp_path: Path) -> None:
    common = ["select", "--out", tmp_path / "out", "--backbone", backbone, "--task", data / "task.yaml"]
    assert "comes divided: leave it out" in refusal(*common, "--data", data, "--test-size", 0.5)
    one = ["--data", data / "train.tsv", "--test-data"]
    assert "none.tsv: cannot be read" in refusal(*common, *one, tmp_path / "none.tsv")
    assert "both say what is tested on" in refusal(*common, *one, data / "test.tsv", "--test-size", 0.5)
    assert "'zlib' is no encoding of text" in refusal(*common, "--data", data, "--encoding", "zlib")


def test_the_verb(ask: Any, backbone: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "layers"
    common = told(["select", "--method", "capt", "--out", out, "--keep", 2], data, backbone)
    code, printed, err = ask(*common, "--arms", "learned,random,middle", "--seeds", "1,2")
    assert code == 0, err
    assert "run 6 of 6: middle, seed 2" in err
    shown = printed.replace(str(out), "")
    assert max(map(len, shown.splitlines())) <= 100
    assert all(word in shown for word in ("learned:2", "random:2", "middle", "95 % interval", "stored", "█"))
    found = json.loads((out / "select.json").read_text())
    assert [arm["arm"] for arm in found["arms"]] == ["learned:2", "random:2", "middle"]
    assert found["reference"] == "learned:2"
    assert [arm["tunable"]["percent"] for arm in found["arms"]] == [
        100 * arm["trained_parameters"] / arm["tunable"]["backbone_parameters"] for arm in found["arms"]
    ]
    for arm in found["arms"]:
        for run in arm["runs"]:
            own = json.loads((out / f"{arm['arm'].replace(':', '')}-{run['seed']}" / "metrics.json").read_text())
            assert run["value"] == own["test"]["accuracy"]
            assert run["kept_layers"] == own["kept_layers"]
    assert {seed: len(turns) for seed, turns in found["gates"]["learned:2"].items()} == {"1": 2, "2": 2}
    page = (out / "select.html").read_text(encoding="utf-8")
    assert page.count("<figure ") == 4  # arms, kept layers, and the gates of two seeds
    # Another seed only adds to what is there, and --json prints the file.
    stamp = (out / "middle-1" / "metrics.json").stat().st_mtime_ns
    code, printed, err = ask(*common, "--arms", "learned random middle", "--seeds", "1 2 3", "--json")
    assert code == 0, err
    again = json.loads(printed)
    assert again == json.loads((out / "select.json").read_text())
    assert again["seeds"] == [1, 2, 3]
    assert [arm["runs"][:2] for arm in again["arms"]] == [arm["runs"] for arm in found["arms"]]
    assert (out / "middle-1" / "metrics.json").stat().st_mtime_ns == stamp


def test_the_arms_have_a_presets_settings(ask: Any, backbone: Path, data: Path, tmp_path: Path) -> None:
    common = [*told(["select", "--preset", "capt-paper"], data, backbone), "--set", "max_length=64", "--seeds", "1"]
    code, printed, err = ask(*common, "--arms", "all,last", "--keep", 1, "--out", tmp_path / "runs", "--json")
    assert code == 0, err
    assert json.loads(printed)["method"] == "capt"
    for arm in ("all-1", "last1-1"):
        run = json.loads((tmp_path / "runs" / arm / "metrics.json").read_text())
        assert (run["preset"]["name"], run["readout"]["name"]) == ("capt-paper", "head")
        assert run["options"]["training"]["learning_rate"] == 7e-4
    code, _, err = ask(*common, "--method", "spt", "--out", tmp_path / "other")
    assert (code, "is of method 'capt', and 'spt' was asked for" in one_line(err)) == (1, True)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_weights_have_the_presets_type(dtype: str, ask: Any, backbone: Path, data: Path, tmp_path: Path) -> None:
    """As in `train`: the one of the two that `auto` does not take would be missed."""
    own = tmp_path / "own.yaml"
    told_of = "".join(f"{key}: x\n" for key in ("description", "title", "url", "source", "evidence"))
    own.write_text(f"{told_of}method: capt\nruns: [{{name: any}}]\ndtype: {dtype}\n")
    words = [*told(["select", "--preset", own], data, backbone), "--arms", "all", "--seeds", "1"]
    for given, found in (([], dtype), (["--dtype", "float32"], "float32")):
        code, _, err = ask(*words, "--out", tmp_path / f"r{len(given)}", *given)
        assert code == 0, err
        assert json.loads((tmp_path / f"r{len(given)}" / "all-1" / "metrics.json").read_text())["dtype"] == found


def test_many_seeds_and_layers_fit_100_columns(capsys: pytest.CaptureFixture[str]) -> None:
    from softprompt.cli.select import _report
    from softprompt.compare.layers import summed

    chance = random.Random(3)
    arms = ("learned:8", "all", "first:8", "last:8", "random:8", "input", "middle")
    runs = {
        arm: [
            {
                "seed": seed,
                "metric": "accuracy",
                "test": {"accuracy": 0.7 + 0.02 * (arm == "all") + chance.gauss(0, 1e-4), "interval": [0, 1]},
                "train_seconds": 1234.0,
                "trained_parameters": 12_345_678,
                "tunable": {"backbone_parameters": 10**9, "percent": 1.2345, "percent_without_head": 0.0012},
                "stored_parameters": 12_345_678,
                "kept_layers": sorted(chance.sample(range(36), 8)),
            }
            for seed in range(10)
        ]
        for arm in arms
    }
    found = {
        "method": "spt", "task": "sst2", "rows": 400, "metric": "accuracy", "layers": 36, "seeds": list(range(10)),
        "reference": "learned:8", "arms": summed(runs, "learned:8", 36),
    }  # fmt: skip
    _report(found, Path("runs"))
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 100
    assert "<0.001" in printed
    assert "(1.2e-3)" in printed
    assert all(arm in printed for arm in arms)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "lora"], "method 'lora' has no choice of layers"),
        (["--arms", "learned,firstly"], "arm 'firstly': choose from"),
        (["--arms", ","], "no arms"),
        (["--keep", 9], "choose K from 1 to 3"),
        (["--seeds", "1,x"], "--seeds '1,x'"),
        (["--set", "select=all"], "--arms"),
        (["--task", "/no/task.yaml"], "/no/task.yaml"),
        (["--template", "asked"], "no template 'asked'"),
    ],
)
def test_a_fault_is_one_line(
    words: list[str],
    message: str,
    ask: Any,
    backbone: Path,
    data: Path,
    tmp_path: Path,
) -> None:
    code, _, err = ask(*told(["select", "--out", tmp_path / "layers"], data, backbone), *words)
    assert code == 1
    assert message in one_line(err)
    assert not (tmp_path / "layers").exists()
