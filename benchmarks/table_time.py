"""How long a table of small cells takes: a shell loop of `softprompt train`, `compare`, and `compare --on ray`.

python benchmarks/table_time.py --work FOLDER [--cells 60] [--times 3] [--arm shell] [--arm local]

The cells are five methods on seeds of movie_reviews, 20 steps each. Every arm makes all of them; those of `compare`
make four as well, so that their start can be told from a cell: what Ray costs a cell is the difference of their
slopes. What was measured stands in the results file and is not measured again, so the same command goes on where it
was stopped; a stopped table is begun anew, and a shell loop goes on with its next cell. Ray is left out where it is
not installed (softprompt[cluster]). On a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "table_time.json"
METHODS = ("head_only", "prompt_tuning", "capt", "p_tuning_v2", "lora")
QUICK = {"max_steps": 20, "evaluations": 2, "batch_size": 4}
SHOTS, TEST_ROWS, WORKERS, FEW = 8, 40, 2, 4
ARMS = {
    "shell": (),
    "local": ("--workers", str(WORKERS)),
    "ray": ("--workers", str(WORKERS), "--on", "ray"),
    "store": ("--workers", str(WORKERS), "--on", "ray", "--store"),
}


def seconds(*words: str | Path) -> float:
    """How long a command of the program takes.

    Raises:
        SystemExit: it failed.
    """
    begun = time.monotonic()
    command = [sys.executable, "-m", "softprompt", *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return time.monotonic() - begun


def plan(count: int) -> dict[str, Any]:
    """So many cells: as many of the methods as divide them, on seeds from 1."""
    several = max(one for one in range(1, len(METHODS) + 1) if count % one == 0)
    return {
        "methods": [{"name": name, "set": QUICK} for name in METHODS[:several]],
        "seeds": list(range(1, count // several + 1)),
        "tasks": ["movie_reviews"],
        "shots": SHOTS,
        "max_test_rows": TEST_ROWS,
    }


def loop(work: Path, backbone: str, count: int, known: dict[str, float], keep: Any) -> float:
    """The cells one after another, each by a command of its own; the seconds of all."""
    asked = plan(count)
    settings = [word for name, value in QUICK.items() for word in ("--set", f"{name}={value}")]
    rows = ("--task", "movie_reviews", "--shots", str(SHOTS), "--max-test-rows", str(TEST_ROWS))
    for seed in asked["seeds"]:
        for method in (one["name"] for one in asked["methods"]):
            name = f"{method}-{seed}"
            if name not in known:
                own = ("--backbone", backbone, "--method", method, "--seed", str(seed), "--out", work / name)
                shutil.rmtree(work / name, ignore_errors=True)
                known[name] = seconds("train", *rows, *settings, *own)
                keep()
                print(f"{name}: {known[name]:.1f} s", flush=True)
    return sum(known.values())


def table(work: Path, backbone: str, arm: str, count: int) -> float:
    """The cells by `compare`, with the start of its workers, and of a cluster where there is one."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / "plan.yaml").write_text(json.dumps({"backbones": [backbone], **plan(count)}), encoding="utf-8")
    words = [*ARMS[arm], *([work / "store"] if arm == "store" else [])]
    return seconds("compare", work / "plan.yaml", "--out", work / "table", *words)


def summary(found: dict[str, Any], count: int) -> dict[str, float]:
    """What the seconds come to."""
    told: dict[str, float] = {}
    middle = {key: statistics.median(one) for key, one in found["seconds"].items() if one}
    whole, few = f"_{count}", f"_{FEW}"
    for arm in ("local", "ray", "store"):
        if f"shell{whole}" in middle and f"{arm}{whole}" in middle:
            told[f"{arm}_faster_than_shell"] = middle[f"shell{whole}"] / middle[f"{arm}{whole}"]
    if count > FEW:
        each = {
            arm: (middle[arm + whole] - middle[arm + few]) / (count - FEW)
            for arm in ("local", "ray", "store")
            if arm + whole in middle and arm + few in middle
        }
        told |= {f"{arm}_seconds_a_cell": one for arm, one in each.items()}
        told |= {
            f"{arm}_more_a_cell": one - each["local"] for arm, one in each.items() if arm != "local" and "local" in each
        }
    return told


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--cells", type=int, default=60)
    parser.add_argument("--times", type=int, default=1, help="that each table is made; the medians count")
    parser.add_argument("--backbone", default="embedded:minilm")
    parser.add_argument("--arm", choices=ARMS, action="append", help="default: all that can be")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    usual = [arm for arm in ARMS if arm in ("shell", "local") or find_spec("ray") is not None]
    fixed = {"backbone": given.backbone, "quick": QUICK, "workers": WORKERS, "cores": len(os.sched_getaffinity(0))}
    found: dict[str, Any] = json.loads(given.results.read_text()) if given.results.is_file() else dict(fixed)
    if any(found.get(name) != value for name, value in fixed.items()):
        raise SystemExit(f"{given.results} is of another backbone, other options or another machine: name another")
    measured: dict[str, list[float]] = found.setdefault("seconds", {})

    def keep() -> None:
        found["summary"] = summary(found, given.cells)
        given.results.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    for arm in given.arm or usual:
        for count in dict.fromkeys([given.cells] if arm == "shell" else [FEW, given.cells]):
            key, work = f"{arm}_{count}", given.work.absolute() / f"{arm}-{count}"
            own = measured.setdefault(key, [])
            if arm == "shell" and not own:
                known = found.setdefault("shell_cells", {}).setdefault(str(count), {})
                own.append(loop(work, given.backbone, count, known, keep))
            while arm != "shell" and len(own) < given.times:
                own.append(table(work, given.backbone, arm, count))
                keep()
            print(f"{key}: {', '.join(f'{one:.1f}' for one in own)} s", flush=True)
    keep()
    print(json.dumps(found["summary"], indent=1))


if __name__ == "__main__":
    main()
