"""How much the choice of layers can matter: SPT trained at every choice of K layers, and where the search's stand.

    python benchmarks/subsets.py --task sst2 --data FOLDER/SST-2 --seeds 13 21 42

A search can beat a random choice only as far as choices differ by more than chance. With y_cs the metric of choice c at
seed s, a two-way analysis of variance without replication, y_cs = mean + choice_c + seed_s + rest_cs, gives

    F = MS_choice / MS_rest,   deviation of true choices = sqrt(max(0, (MS_choice - MS_rest) / seeds)),

and 1 - 1/F of what the best choice is seen to gain over the mean is to be expected again (the shrinkage of James and
Stein). A layer's worth is the mean of the choices with it less that of those without it, by seed.

FOLDER, `--out` and resuming are as in spt.py; the search's choices are read from results/spt.json. Figures go to
benchmarks/results/subsets.json, tables to subsets.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from _common import KEPT, keep, read, run
from scipy.special import fdtrc

RESULTS = Path(__file__).parent / "results" / "subsets.json"
KEY = ("task", "backbone", "layers_kept", "seed")
MOST = 100  # choices; more would take days


def run_all(options: argparse.Namespace) -> None:
    """Train every choice at every seed, and write what there is after every seed."""
    import softprompt as sp
    from softprompt.cli.common import quiet
    from softprompt.methods.parts.layers import usual

    quiet()
    loaded = sp.load_backbone(options.backbone)
    count = sp.read_anatomy(loaded[0]).num_layers
    choices = list(combinations(range(count), options.keep or usual(count)))
    if len(choices) > MOST:
        raise SystemExit(f"--keep gives {len(choices)} choices of {count} layers, the most is {MOST}: take another K")
    place = options.out / f"{options.task}-{options.backbone.removeprefix('embedded:').replace('/', '-')}"
    for seed in options.seeds:
        task = sp.Task.load(options.task, data=options.data, seed=seed, max_test_rows=options.test_rows)
        for choice in choices:
            name = ",".join(map(str, choice))
            print(f"== {options.task} layers {name} seed {seed} on {options.backbone}", flush=True)
            method = sp.method("spt", select=name)
            metrics = run(loaded, task, method, seed, place / f"spt-{name}-{seed}", options.backbone)
            if metrics is not None:
                own = {key: metrics[key] for key in ("task", "backbone", "method", "seed", *KEPT)}
                keep(options.results, {**own, "layers_kept": name, "layers": count}, KEY)
        write(read(options.results), read(options.searched), options.results)


def write(rows: Sequence[dict[str, Any]], searched: Sequence[dict[str, Any]], path: Path) -> None:
    """The tables of every task and backbone."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["task"], row["backbone"]), []).append(row)
    parts = [tables(group, searched) for group in groups.values()]
    path.with_suffix(".md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def tables(rows: Sequence[dict[str, Any]], searched: Sequence[dict[str, Any]]) -> str:
    """One task and backbone: the choices, best first; what they explain; a layer's worth; where the search stands."""
    found = {(row["layers_kept"], row["seed"]): row["test"][row["metric"]] for row in rows}
    seeds = sorted({seed for _, seed in found})
    names = [name for name in dict.fromkeys(name for name, _ in found) if all((name, seed) in found for seed in seeds)]
    grid = np.array([[found[name, seed] for seed in seeds] for name in names])
    first = rows[0]
    lines = [
        f"## {first['task']}, {first['backbone']}: {len(names)} choices, {first['test']['rows']} test rows",
        "",
        f"| layers | mean | {' | '.join(f'seed {seed}' for seed in seeds)} |",
        "|---" * (len(seeds) + 2) + "|",
    ]
    for place in np.argsort(-grid.mean(axis=1), kind="stable"):
        cells = " | ".join(f"{value:.3f}" for value in grid[place])
        lines.append(f"| {names[place]} | {grid[place].mean():.3f} | {cells} |")
    if len(seeds) > 1 and len(names) > 1:
        lines += ["", summary(variance(grid))]
    lines += ["", *worth(grid, names, seeds, first["layers"])]
    kept = {
        row["seed"]: ",".join(map(str, row["kept_layers"]))
        for row in searched
        if row["arm"].startswith("spt learned") and row["arm"].count(" ") == 1  # that of the default pair
        if all(row[key] == first[key] for key in ("task", "backbone"))
    }
    return "\n".join([*lines, "", *standing(found, names, seeds, kept)]).rstrip()


def variance(grid: np.ndarray) -> dict[str, float]:
    """The analysis of variance of `(choices, seeds)` figures; at least two of each."""
    choices, seeds = grid.shape
    rows, columns, mean = grid.mean(axis=1), grid.mean(axis=0), grid.mean()
    between = seeds * float(((rows - mean) ** 2).sum()) / (choices - 1)
    freedom = (choices - 1) * (seeds - 1)
    rest = float(((grid - rows[:, None] - columns[None] + mean) ** 2).sum()) / freedom
    f = between / rest
    gain = float(rows.max() - mean)
    return {
        "mean": float(mean),
        "f": f,
        "p": float(fdtrc(choices - 1, freedom, f)),
        "choice": max(0.0, (between - rest) / seeds) ** 0.5,
        "rest": rest**0.5,
        "gain": gain,
        "expected": gain * max(0.0, 1 - 1 / f),
    }


def summary(found: Mapping[str, float]) -> str:
    """The analysis of variance in words."""
    return (
        f"Mean of all choices {found['mean']:.3f}. Choices: F = {found['f']:.2f}, p = {found['p']:.3f}, standard "
        f"deviation of their true values {found['choice']:.4f}; rest {found['rest']:.4f}. The best choice lies "
        f"{found['gain']:+.3f} over the mean, of which {found['expected']:+.3f} is to be expected again."
    )


def worth(grid: np.ndarray, names: Sequence[str], seeds: Sequence[int], layers: int) -> list[str]:
    """A layer's worth by seed: the mean of the choices with it, less that of the others."""
    lines = [f"| layer | worth | {' | '.join(f'seed {seed}' for seed in seeds)} |", "|---" * (len(seeds) + 2) + "|"]
    for layer in range(layers):
        has = np.array([str(layer) in name.split(",") for name in names])
        if has.any() and not has.all():
            by_seed = grid[has].mean(axis=0) - grid[~has].mean(axis=0)
            cells = " | ".join(f"{value:+.3f}" for value in by_seed)
            lines.append(f"| {layer} | {by_seed.mean():+.3f} | {cells} |")
    return lines


def standing(
    found: Mapping[tuple[str, int], float], names: Sequence[str], seeds: Sequence[int], kept: Mapping[int, str]
) -> list[str]:
    """Where the search's choice stands among all of its own seed, and what the same choice reaches at other seeds."""
    lines = [
        "| search, seed | layers | metric | place | over the mean | at other seeds, over the mean |",
        "|---" * 6 + "|",
    ]
    for seed in seeds:
        if seed not in kept or kept[seed] not in names:
            continue
        column = [found[name, seed] for name in names]
        own = found[kept[seed], seed]
        place = 1 + sum(value > own for value in column)
        away = [found[kept[seed], one] - fmean(found[name, one] for name in names) for one in seeds if one != seed]
        rest = f"{fmean(away):+.3f}" if away else ""
        lines.append(f"| {seed} | {kept[seed]} | {own:.3f} | {place} | {own - fmean(column):+.3f} | {rest} |")
    return lines if len(lines) > 2 else []


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="sst2")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", default="embedded:minilm")
    parser.add_argument("--seeds", type=int, nargs="+", default=[13, 21, 42])
    parser.add_argument("--keep", type=int, default=None, help="K; default: 8, at most half of the layers")
    parser.add_argument("--test-rows", type=int, default=400)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--searched", type=Path, default=RESULTS.with_name("spt.json"))
    parser.add_argument("--out", type=Path, default=Path("runs"))
    options = parser.parse_args()
    run_all(options)
    print(options.results.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
