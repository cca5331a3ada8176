"""Attack the library on purpose and count what happens: damaged files, kills, threads, bombs.

    python benchmarks/reliability.py [--only NAME ...]

Each module of `tests/attacks` is run whole; the suite runs a part of the same code. Counts go to
benchmarks/results/reliability.json, the table to reliability.md beside it, which `docs/reliability.md` explains.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "reliability.json"


def attacks() -> list[str]:
    """The names of the modules of `tests/attacks`."""
    return sorted(module.name for module in pkgutil.iter_modules([str(ROOT / "tests" / "attacks")]))


def run(names: list[str]) -> dict[str, Any]:
    """What each attack counted, beside what earlier runs of the others counted."""
    from softprompt.cli.common import quiet
    from softprompt.progress import Progress
    from softprompt.training.measure import versions

    quiet()
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for name in names:
        attack = importlib.import_module(f"tests.attacks.{name}")
        begun = time.monotonic()
        with Progress().work(name, 0, "attacks") as tick:
            counts = attack.measure(tick)
        found[name] = {
            "title": attack.TITLE,
            "promise": attack.PROMISE,
            "tests": attack.TESTS,
            "counts": counts,
            "seconds": round(time.monotonic() - begun, 1),
            "versions": versions(),
        }
        RESULTS.write_text(json.dumps(found, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return found


def table(found: dict[str, Any]) -> str:
    """The counts as a table in Markdown."""
    lines = ["| attacked | promise | counted | tests |", "|---|---|---|---|"]
    for one in found.values():
        counts = ", ".join(f"{count:,} {name}" for name, count in one["counts"].items())
        tests = ", ".join(f"`{test}`" for test in one["tests"])
        lines.append(f"| {one['title']} | {one['promise']} | {counts} | {tests} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the attacks that were named, or all."""
    sys.path.insert(0, str(ROOT))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=attacks(), default=attacks())
    found = run(parser.parse_args().only)
    RESULTS.with_suffix(".md").write_text(table(found), encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
