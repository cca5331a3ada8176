"""Cells of one table that share what is computed once a row, beside the same cells each by itself.

    python benchmarks/shared_states.py --data FOLDER/SST-2 [--backbone embedded:gemma3-270m] [--cells 4]

FOLDER holds the published few-shot folders `16-13`, ... (LM-BFF). A cell is a method at another rate; sides take turns,
cell by cell, and a cell by itself has a folder of its own. Both must end in the same bytes. What comes out is printed,
and written to benchmarks/results/shared_states.json and .md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "shared_states.json"
# Each with the option that differs from cell to cell.
METHODS = {"head_only": ("head_learning_rate", 0.001), "lpt": ("learning_rate", 0.0005)}
FILES = ("prompt/prompt.safetensors", "predictions.json")


def seconds(backbone: Any, task: Any, name: str, setting: dict[str, float], folder: Path) -> float:
    """Of a cell in a folder."""
    from softprompt.compare.cells import Cell, train_cell
    from softprompt.progress import Progress

    cell = Cell(
        name=folder.name, folder=str(folder), backbone=backbone.name, method=name, training_options=setting, seed=13
    )
    begun = time.perf_counter()
    train_cell(cell, backbone, task, Progress(False))
    return time.perf_counter() - begun


def measured(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row a method."""
    import softprompt as sp

    backbone = sp.load_backbone(options.backbone)
    task = sp.Task.load("sst2", data=options.data, seed=13, max_test_rows=options.test_rows).reading_once()
    found = []
    for name, (option, rate) in METHODS.items():
        sides: dict[str, list[float]] = {"alone": [], "together": []}
        with tempfile.TemporaryDirectory() as place:
            for cell in range(options.cells):
                setting = {option: rate * (1 + cell)}
                folders = {
                    "alone": Path(place) / f"alone-{cell}" / "run",
                    "together": Path(place) / "table" / f"{cell}",
                }
                for side, folder in folders.items():
                    sides[side].append(seconds(backbone, task, name, setting, folder))
                for file in FILES:
                    one, other = (folder / file for folder in folders.values())
                    if one.read_bytes() != other.read_bytes():
                        raise SystemExit(f"{name}, cell {cell}: {file} is another where cells share")
        rest = [one / other for one, other in zip(sides["alone"][1:], sides["together"][1:], strict=True)]
        found.append({"method": name, "backbone": options.backbone, **sides, "faster": statistics.median(rest)})
    return found


def told(rows: list[dict[str, Any]]) -> str:
    """As a table."""
    lines = [
        "| method | first cell, s | another by itself, s | another beside it, s | faster |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        alone, together = (statistics.median(row[side][1:]) for side in ("alone", "together"))
        cells = (row["method"], f"{row['together'][0]:.1f}", f"{alone:.1f}", f"{together:.1f}", f"{row['faster']:.2f}x")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", default="embedded:gemma3-270m")
    parser.add_argument("--cells", type=int, default=4)
    parser.add_argument("--test-rows", type=int, default=400)
    rows = measured(parser.parse_args())
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    RESULTS.with_suffix(".md").write_text(told(rows), encoding="utf-8")
    print(told(rows))


if __name__ == "__main__":
    main()
