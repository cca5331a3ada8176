"""A table with everything in it: tasks, ranks, a baseline, a missing seed, a folder that is left out, and bad names."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from softprompt.compare.table import Table
from softprompt.compare.tabulate import tabulate

from .run_folders import cell, hits

HOSTILE = "<script>alert(1)</script> & \\end{tabular} | _x_ $y$ \x1b[31m"


@cache
def compared(hostile: bool = False) -> Table:
    """Two backbones, three tasks, three methods, two seeds; a name is hostile where it is asked for."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        for task in ("sst2", "trec", HOSTILE if hostile else "words"):
            for rate, method in ((0.5, "capt"), (0.55, "lora"), (0.95, "a_plugin")):
                for seed in (13, 21):
                    right = hits(f"{task[:5]} {method}", seed, rate)
                    name = f"{task[:5].strip('<')}-{method}-{seed}"
                    if (task, method, seed) != ("trec", "lora", 21):
                        cell(folder / name, method, seed, right, task=task)
        began = cell(folder / "begun", "lpt", 13, task="sst2")
        (began / "metrics.json").unlink()
        other = {"fingerprint": {"weights": "ff", "head": ""}}
        cell(folder / "big", "capt", 13, hits("big", 13), task="sst2", backbone="big_model", identity=other)
        return tabulate([folder], baseline="capt")
