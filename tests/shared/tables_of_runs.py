"""A small table that can be made in seconds: a tiny backbone, a task with rows, and a plan of two methods."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from softprompt.compare.plan import plan_of
from softprompt.compare.planned import Planned, planned

from .models import model, tokenizer

TIMES = {"train_seconds", "rows_per_second", "peak_memory_bytes", "sha256"}


@dataclass(frozen=True)
class Bench:
    """What a plan names, in one folder."""

    folder: Path

    @property
    def document(self) -> dict[str, Any]:
        """The keys of the plan."""
        quick = {"max_steps": 24, "evaluations": 6, "batch_size": 4, "learning_rate": 0.01}
        return {
            "backbones": [str(self.folder / "llama")],
            "tasks": [{"name": str(self.folder / "task.yaml"), "data": str(self.folder / "rows.jsonl")}],
            "methods": [
                {"name": "prompt_tuning", "set": {**quick, "num_virtual_tokens": 2}},
                {"name": "lora", "set": quick},
            ],
            "seeds": [1, 2],
        }

    def planned(self, out: Path, **changes: Any) -> Planned:
        """The cells of the plan, with other keys where they are given."""
        return planned(plan_of({**self.document, **changes}, "plan.yaml"), "plan.yaml", out / "cells")

    def write(self, place: Path, **changes: Any) -> Path:
        """The plan as a file."""
        place.write_text(json.dumps({**self.document, **changes}), encoding="utf-8")  # JSON is YAML
        return place


def bench(folder: Path) -> Bench:
    """Make one."""
    model("llama").save_pretrained(folder / "llama")
    tokenizer().save_pretrained(folder / "llama")
    (folder / "task.yaml").write_text('name: words\ntemplate: "{text} {mask}"\nlabels: {"0": w10, "1": w11}\n')
    rows = [{"text": f"w20 w{20 + place} w{30 + place % 7}", "label": str(place % 2)} for place in range(40)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return Bench(folder)


def outcome(run: Path) -> tuple[dict[str, Any], bytes]:
    """What a run came to, but for times."""
    metrics = json.loads((run / "metrics.json").read_text())
    prompt = (run / "prompt" / "prompt.safetensors").read_bytes()
    return {name: value for name, value in metrics.items() if name not in TIMES}, prompt
