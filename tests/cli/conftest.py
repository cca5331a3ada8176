"""A tiny backbone, a task with rows and a run of it, and the command line as a user types it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..shared import commands
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


@pytest.fixture(scope="session")
def ask() -> Callable[..., tuple[int, str, str]]:
    """Run a command: exit code, standard output and standard error."""

    def asked(*words: Any) -> tuple[int, str, str]:
        told = commands.ask(*words, seconds=600)
        if told.raised is not None:
            raise told.raised
        return told.code, told.out, told.err

    return asked


@pytest.fixture(scope="session")
def trained(backbone: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "capt"
    from softprompt.cli.train import train

    train(
        backbone=str(backbone), task=str(data / "task.yaml"), method="capt", out=folder, data=data,
        set_=["max_steps=2", "learning_rate=0.01", "init_std=0.1"], json=True,
    )  # fmt: skip
    return folder


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
