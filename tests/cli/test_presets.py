"""`softprompt presets`, and `train --preset`: a paper's settings by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import Interrupted
from softprompt.presets.catalog import preset_names
from softprompt.tasks import Task
from softprompt.training.run import train

from ..shared.commands import narrow
from ..shared.runs import Interrupting

FEW = ["--epochs", 1, "--set", "evaluations=1", "--max-length", 64]


def test_they_are_listed_and_shown_with_their_sources(ask: Any) -> None:
    code, printed, _ = ask("presets")
    assert code == 0
    assert narrow(printed)
    assert all(name in printed for name in preset_names())
    code, printed, _ = ask("presets", "lester")
    assert code == 0
    for told in ("section 3 and appendix A", "weight_decay=1e-05", "max_steps=30000", "T5 on ReCoRD"):
        assert told in printed
    assert {"task wsc is cast as wsc_t5", "evidence: full text and official code"} <= {*printed.splitlines()}
    code, printed, _ = ask("presets", "ptuning-v2-paper", "--json")
    assert json.loads(printed)["runs"][0]["options"] == {"num_virtual_tokens": 40}
    assert {one["name"] for one in json.loads(ask("presets", "--json")[1])} == set(preset_names())
    code, _, err = ask("presets", "lestr")
    assert (code, "no preset named 'lestr': did you mean 'lester'?" in err) == (1, True)


def test_a_run_has_the_presets_settings_and_what_is_typed_wins(
    backbone: Path, data: Path, ask: Any, tmp_path: Path
) -> None:
    words = ["train", "--backbone", backbone, "--task", data / "task.yaml", "--data", data, "--preset", "capt-paper"]
    code, out, err = ask(*words, "--out", tmp_path / "run", *FEW, "--set", "init_std=0.1", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["method"], found["readout"]["name"], found["dtype"]) == ("capt", "head", "float32")
    assert found["preset"]["changed"] == {"epochs": 1, "evaluations": 1, "max_length": 64}
    assert found["options"]["training"]["learning_rate"] == 7e-4
    assert found["options"]["method"]["init_std"] == 0.1
    assert "preset: epochs is 1, in capt-paper 50" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--preset", "lestr"], "no preset named 'lestr'"),
        (["--preset", "capt-paper", "--method", "lpt"], "--preset capt-paper is of method capt: leave --method out"),
        (["--preset", "capt-paper", "--set", "generator=npg"], "--set generator: no such option"),
        (["--preset", "lester"], "preset 'lester' has no run on llama (causal)"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: list[str], told: str, backbone: Path, data: Path, ask: Any, tmp_path: Path
) -> None:
    given = ["--backbone", backbone, "--task", data / "task.yaml", "--data", data, "--out", tmp_path / "run"]
    code, _, err = ask("train", *given, *words)
    assert (code, told in err) == (1, True), err
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_with_its_preset(backbone: Path, data: Path, ask: Any, tmp_path: Path) -> None:
    from softprompt.backbones.load import load_backbone

    frozen = load_backbone(str(backbone), dtype="float32")
    own = Task.load(data / "task.yaml", data=data, seed=5)
    options = {"max_steps": 6, "batch_size": 4, "max_length": 64, "evaluations": 1}
    with pytest.raises(Interrupted):
        train(frozen, own, seed=5, output=tmp_path / "run", preset="capt-paper", progress=Interrupting(3), **options)
    straight = train(frozen, own, seed=5, output=tmp_path / "straight", preset="capt-paper", progress=False, **options)
    code, _, err = ask("train", "--resume", "--out", tmp_path / "run", "--preset", "lester")
    assert (code, "this run was begun with preset capt-paper: leave --preset out" in err) == (1, True), err
    code, out, err = ask("train", "--resume", "--out", tmp_path / "run", "--json")
    assert code == 0, err
    assert json.loads(out)["preset"] == straight.metrics["preset"]
    files = [tmp_path / name / "prompt" / "prompt.safetensors" for name in ("run", "straight")]
    assert files[0].read_bytes() == files[1].read_bytes()
