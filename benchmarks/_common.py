"""What the benchmarks share: runs that one fault does not stop, and a file of figures that grows row by row."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

KEPT = (
    "metric",
    "trained_parameters",
    "stored_parameters",
    "train_seconds",
    "readout",
    "options",
    "versions",
    "validation",
    "test",
)


def run(
    loaded: tuple[Any, Any], task: Any, method: Any, seed: int, folder: Path, backbone: str, **options: Any
) -> dict[str, Any] | None:
    """Train or resume one run; its metrics, or None where it failed, which is printed. A stop ends the program.

    Args:
        loaded: the backbone and its tokenizer.
        task: with its data.
        method: or its name.
        seed: of the run.
        folder: of the run.
        backbone: its name.
        **options: of training.
    """
    import softprompt as sp

    name = method if isinstance(method, str) else method.name
    try:
        resume = (folder / "run.json").is_file()
        return sp.train(
            *loaded, task, method, seed=seed, output=folder, resume=resume, backbone=backbone, **options
        ).metrics
    except sp.Interrupted as stop:
        raise SystemExit(f"{name}: {stop}") from None
    except sp.SoftPromptError as error:
        print(f"{name}: {error}")
    except Exception:
        traceback.print_exc()  # one method's fault must not cost the night's other rows
    return None


def kept(metrics: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """What a benchmark keeps of a run; runs of versions that did not write the tunable share have none.

    Args:
        metrics: of the run.
        names: fields that tell its rows apart.
    """
    return {**{name: metrics[name] for name in (*names, *KEPT)}, "tunable": metrics.get("tunable")}


def tunable(row: dict[str, Any]) -> str:
    """The cell of the tunable share, in percent; empty where the run told none."""
    from softprompt.backbones.tunable import Tunable

    return Tunable(**row["tunable"]).told() if row.get("tunable") else ""


def in_a_process(told: str, command: Sequence[str]) -> dict[str, Any]:
    """What one side prints last, as JSON, in a process of its own; its fault ends the benchmark.

    Args:
        told: what the side is called.
        command: of the process.
    """
    print(f"{told} ...", file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"{told} failed, its fault stands above")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def write(path: Path, found: object, text: str) -> None:
    """Write figures, and the text that shows them beside them."""
    path.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(text, encoding="utf-8")


def read(path: Path) -> list[dict[str, Any]]:
    """The figures so far."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def keep(path: Path, row: dict[str, Any], key: Sequence[str]) -> list[dict[str, Any]]:
    """Write one run's figures beside those of earlier calls; all of them.

    Args:
        path: the JSON file.
        row: the figures.
        key: what tells two rows apart.
    """
    rows = [old for old in read(path) if any(old[name] != row[name] for name in key)]
    rows.append({**row, "cores": os.cpu_count()})
    rows.sort(key=lambda one: tuple(str(one[name]) for name in key))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return rows


def values(runs: Sequence[dict[str, Any]]) -> list[float]:
    """The main metric on the test rows."""
    return [one["test"][one["metric"]] for one in runs]


def mean(runs: Sequence[dict[str, Any]]) -> float:
    """Mean test metric."""
    return statistics.mean(values(runs))
