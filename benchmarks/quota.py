"""A training step where a control group gets the time of one core: with one thread, and with two, as torch would take.

    python benchmarks/quota.py [--group /sys/fs/cgroup/cpu/quota] [--rounds 3]

The group is made where there is none (which root may), given the time of one core, and taken away again; version 1 and
2 of control groups are known. Sides run in processes of their own, in turns; a side's time is the median of its steps.
Prompt Tuning on MiniLM in float32, 16 rows. Figures go to benchmarks/results/quota.json, the table to quota.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from _common import write
from _machine import processor

RESULTS = Path(__file__).parent / "results" / "quota.json"
PERIOD = 100_000  # microseconds
TEXT = "a moving film that never quite finds its feet but has its heart in the right place, one way or another"


def limit(group: Path) -> None:
    """Give a control group the time of one core."""
    group.mkdir(exist_ok=True)
    if (group / "cpu.max").is_file():
        (group / "cpu.max").write_text(f"{PERIOD} {PERIOD}", encoding="ascii")
    else:
        (group / "cpu.cfs_period_us").write_text(str(PERIOD), encoding="ascii")
        (group / "cpu.cfs_quota_us").write_text(str(PERIOD), encoding="ascii")


def steps(group: Path, threads: int, count: int) -> float:
    """Seconds of a step inside the group."""
    (group / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
    import torch

    import softprompt as sp
    from softprompt.cli.common import quiet

    quiet(silent=True)
    torch.set_num_threads(threads)
    model, tokenizer = sp.load_backbone("embedded:minilm")
    spent = []
    with sp.attach(model, tokenizer, sp.PromptTuning(num_virtual_tokens=20)) as prompted:
        prompted.train()
        batch = prompted.encode([TEXT] * 16)
        for _ in range(count + 1):
            begun = time.perf_counter()
            prompted.states(**batch).square().mean().backward()
            spent.append(time.perf_counter() - begun)
    return statistics.median(spent[1:])


def main() -> None:
    """Measure in turns and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", type=Path, default=Path("/sys/fs/cgroup/cpu/quota"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.threads:
        print(steps(options.group, options.threads, options.steps))
        return
    limit(options.group)
    spent: dict[int, list[float]] = {1: [], 2: []}
    try:
        for _ in range(options.rounds):
            for threads, own in spent.items():
                asked = [sys.executable, __file__, "--group", options.group, "--steps", options.steps]
                told = subprocess.check_output([*map(str, asked), "--threads", str(threads)], text=True)
                own.append(float(told.split()[-1]))
    finally:
        options.group.rmdir()
    one, two = (statistics.median(own) for own in spent.values())
    times = statistics.median(b / a for a, b in zip(*spent.values(), strict=True))
    lines = [
        f"The time of one core of {processor()['cores']} ({processor()['processor']}), {options.rounds} rounds.",
        "",
        "| one thread, s a step | two threads, s a step | times as long |",
        "|---|---|---|",
        f"| {one:.2f} | {two:.2f} | {times:.1f} |",
        "",
    ]
    found = {**processor(), "seconds": {str(name): own for name, own in spent.items()}, "times_as_long": times}
    write(options.results, found, "\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
