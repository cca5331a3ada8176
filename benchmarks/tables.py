"""A table of a million rows: reading it with its labels, encoding its rows, and `predict --out`, as csv and as parquet.

    python benchmarks/tables.py [--load-rows 1000000] [--encode-rows 50000] [--predict-rows 100000 1000000]
    python benchmarks/tables.py --before ../before [--rounds 3] ...

Tickets of about twenty words, drawn by a seed, with an id, a date, a priority and one of four teams, are written to a
temporary folder. Each measure is taken in a process of its own: rows a second of computing, in one thread and whatever
else the machine does, and the most memory that the process held, of which the libraries alone take what is told as
"imports"; predict counts the start of the program, too. The model is the tests' smallest (three layers of 32 numbers
with random weights), so that what is measured is everything around it. `--before` takes every measure in turns with
another checkout. Figures go to benchmarks/results/tables.json and tables.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from _common import keep

RESULTS = Path(__file__).parent / "results"
HERE = Path(__file__).parent.parent
FORMATS = ("csv", "parquet")
MEASURES = ("load", "encode", "predict")
TEAMS = ("billing", "delivery", "technical", "other")
_WORDS = [f"w{number}" for number in range(5, 100)]  # those that the tests' tokenizer knows
_PART = 100_000


def tickets(count: int) -> Iterator[Any]:
    """Tables of tickets, the same for the same count."""
    import numpy as np
    import pyarrow as pa

    generator = np.random.default_rng(14)
    words = np.array(_WORDS)
    for start in range(0, count, _PART):
        size = min(_PART, count - start)
        lengths = generator.integers(10, 31, size)
        drawn = iter(words[generator.integers(0, len(words), int(lengths.sum()))].tolist())
        texts = [" ".join(next(drawn) for _ in range(length)) for length in lengths]
        days = np.datetime64("2024-01-01") + generator.integers(0, 700, size)
        yield pa.table(
            {
                "id": range(start, start + size),
                "created": pa.array(days),
                "message": texts,
                "team": np.array(TEAMS)[generator.integers(0, len(TEAMS), size)].tolist(),
                "priority": generator.integers(1, 6, size),
            }
        )


def write(folder: Path, count: int) -> None:
    """The same tickets in each format."""
    import pyarrow.csv
    import pyarrow.parquet

    parts = list(tickets(count))
    with (
        pyarrow.csv.CSVWriter(folder / f"{count}.csv", parts[0].schema) as separated,
        pyarrow.parquet.ParquetWriter(folder / f"{count}.parquet", parts[0].schema) as columns,
    ):
        for part in parts:
            separated.write_table(part)
            columns.write_table(part)


def prepare(folder: Path) -> None:
    """A tiny backbone, and a prompt trained on a few rows."""
    from tests.shared import models

    import softprompt as sp

    backbone = folder / "backbone"
    models.model("llama").save_pretrained(backbone)
    models.tokenizer().save_pretrained(backbone)
    rows = [{"message": f"ticket {number}", "team": TEAMS[number % 4]} for number in range(40)]
    sp.train(
        sp.load_backbone(str(backbone), dtype="float32"),
        task().with_data(rows),
        "prompt_tuning",
        output=folder / "run",
        backbone=str(backbone),
        max_steps=2,
        progress=False,
    )


def task() -> Any:
    """What is asked of a ticket."""
    import softprompt as sp

    return sp.Task(
        name="tickets",
        template="{message} Team: {mask}",
        labels=dict(zip(TEAMS, _WORDS, strict=False)),
        columns={"label": ["team"]},
    )


def child(measure: str, path: Path, folder: Path) -> None:
    """Take one measure in this process."""
    import torch

    import softprompt as sp
    from softprompt.cli.main import main as command
    from softprompt.training.measure import peak_memory

    torch.set_num_threads(1)
    imports, begun = peak_memory(), time.process_time()
    if measure == "load":
        splits = task().with_data(path).splits(13)
        rows = sum(map(len, (splits.train, splits.validation, splits.test)))
    elif measure == "encode":
        prompt = sp.load(folder / "run" / "prompt", sp.load_backbone(str(folder / "backbone"), dtype="float32"))
        asked = task().rows_from(path)
        imports, begun = peak_memory(), time.process_time()
        rows = len([prompt.readout.encode(row) for row in asked])
    else:
        out = folder / f"answers{path.suffix}"
        rows = int(path.stem)
        sys.argv = ["softprompt", "predict", str(folder / "run"), "--file", str(path), "--out", str(out), "--quiet"]
        sys.argv += ["--batch-size", "256", "--dtype", "float32"]
        try:
            command()
        except SystemExit as done:
            if done.code:
                raise
    seconds = time.process_time() - begun
    print(json.dumps({"rows": rows, "seconds": seconds, "peak_bytes": peak_memory(), "imports_bytes": imports}))


def side(root: Path, measure: str, path: Path, folder: Path) -> dict[str, Any]:
    """One measure of a checkout, in a process of its own."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(HERE)]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", __file__, "--child", measure, str(path), str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Every measure of every format, on each side in turns."""
    roots = {"after": HERE} if options.before is None else {"before": options.before.resolve(), "after": HERE}
    asked = [(measure, count) for measure in MEASURES for count in getattr(options, f"{measure}_rows")]
    for count in {count for _, count in asked}:
        write(folder, count)
    side(HERE, "prepare", folder, folder)
    found: list[dict[str, Any]] = []
    for measure, count in asked:
        for ending in FORMATS:
            path = folder / f"{count}.{ending}"
            rounds = []
            for number in range(options.rounds):
                order = list(roots) if number % 2 == 0 else list(roots)[::-1]
                rounds.append({name: side(roots[name], measure, path, folder) for name in order})
                print(f"{measure} {path.name}: round {number + 1}/{options.rounds}", file=sys.stderr, flush=True)
            row = {"measure": measure, "format": ending, "rows": count, **_summed(rounds, list(roots))}
            found = keep(options.out, row, ("measure", "format", "rows"))
    return found


def _summed(rounds: list[dict[str, dict[str, Any]]], names: list[str]) -> dict[str, Any]:
    """Medians over the rounds; the ratio is of neighbours in time."""

    def rate(one: dict[str, Any]) -> float:
        return float(one["rows"] / one["seconds"])

    result: dict[str, Any] = {"rounds": len(rounds)}
    for name in names:
        own = [one[name] for one in rounds]
        result[name] = {
            "rows_a_second": round(statistics.median(map(rate, own))),
            "peak_mb": round(statistics.median(one["peak_bytes"] for one in own) / 1e6),
            "imports_mb": round(statistics.median(one["imports_bytes"] for one in own) / 1e6),
        }
    if len(names) > 1:
        result["faster"] = round(statistics.median(rate(one["after"]) / rate(one["before"]) for one in rounds), 2)
    return result


def shown(found: list[dict[str, Any]]) -> str:
    """The figures as a table."""
    lines = ["| measure | format | rows | | rows a second | peak MB | of it imports |", "|---|---|---|---|---|---|---|"]
    for one in found:
        for name in ("before", "after"):
            if name in one:
                own, rows = one[name], f"{one['rows']:,}"
                told = (one["measure"], one["format"], rows, name, f"{own['rows_a_second']:,}")
                lines.append(f"| {' | '.join((*told, str(own['peak_mb']), str(own['imports_mb'])))} |")
    return "\n".join(lines)


def main() -> None:
    """Take the measures and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load-rows", type=int, nargs="*", default=[1_000_000], help="to read with labels")
    parser.add_argument("--encode-rows", type=int, nargs="*", default=[50_000])
    parser.add_argument("--predict-rows", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--before", type=Path, help="another checkout to compare with")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "tables.json", help="of the figures")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        measure, path, folder = options.child[0], Path(options.child[1]), Path(options.child[2])
        if measure == "prepare":
            prepare(folder)
            print("{}")
        else:
            child(measure, path, folder)
        return
    with tempfile.TemporaryDirectory(prefix="softprompt-tables-") as name:
        found = compare(options, Path(name))
    options.out.with_suffix(".md").write_text(f"{shown(found)}\n", encoding="utf-8")
    print(shown(found))


if __name__ == "__main__":
    main()
