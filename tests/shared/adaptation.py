"""An adaptation of a tiny T5 to texts that count upwards."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from softprompt.training.adaptation.run import adapt

from .models import model, tokenizer
from .runs import Interrupting


def texts(count: int = 60) -> list[str]:
    """Texts that count upwards: after w20 comes w21."""
    chance = random.Random(3)
    starts = [chance.randint(20, 80) for _ in range(count)]
    return [" ".join(f"w{start + step}" for step in range(chance.randint(4, 12))) for start in starts]


def folder_of(family: str, folder: Path) -> Path:
    model(family).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


class AdaptInterrupting(Interrupting):
    """SIGINT at a step of the adaptation."""

    def work(self, name: str, total: int, unit: str) -> Any:
        return super().work("training", total, unit)


def run(backbone: Path, folder: Path, **options: Any) -> Any:
    given = {"steps": 10, "batch_size": 4, "saves": 2, "max_length": 8, "progress": False, **options}
    return adapt(str(backbone), texts(), output=folder, seed=5, **given)


def weights(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()
