"""A tiny backbone, a task with rows and a run of it, and the command line as a user types it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ..shared.commands import call
from ..shared.models import model, tokenizer

WORDS = ["w20 w41 w42", "w30 w50 w51", "w20 w60", "w30 w61"] * 5


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backbone")
    model("llama").save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for split in ("train", "dev", "test"):
        lines = ["sentence\tlabel", *(f"{text}\t{index % 2}" for index, text in enumerate(WORDS))]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    (folder / "task.yaml").write_text(
        'name: words\ntemplate: "{sentence} {mask}"\nlabels: {"0": w10, "1": w11}\nmetrics: [accuracy]\n'
    )
    return folder


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda *words: call(monkeypatch, capsys, *words)


@pytest.fixture(scope="session")
def trained(backbone: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "capt"
    from softprompt.cli.train import train

    train(
        backbone=str(backbone), task=str(data / "task.yaml"), method="capt", out=folder, data=data,
        set_=["max_steps=2", "learning_rate=0.01", "init_std=0.1"], json=True,
    )  # fmt: skip
    return folder
