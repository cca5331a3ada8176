"""Learned layers beside every control: SPT at learned, all, first, last and random layers, and other methods.

Learned layers stand there twice, by the two pairs of networks that the consistency compares (`consistency_pair`).

    python benchmarks/spt.py --task sst2 --data FOLDER/SST-2 --backbone embedded:minilm --seeds 13 21 42 87 100
    python benchmarks/spt.py --task trec --data FOLDER/trec --backbone embedded:gemma3-270m --seeds 13 21 42

FOLDER holds the published few-shot folders `16-13`, `16-21`, ... (LM-BFF). Runs are kept in `<task>-<backbone>/` under
`--out`; the same command again goes on where it was stopped, and what `--results` holds is not run again: another file
begins anew. K is 8, but at most half of the layers, or `--keep`. Figures go to benchmarks/results/spt.json, tables to
spt.md and a picture for each task and backbone beside it.
The test is a paired t test over seeds; its power is small (`softprompt.compare.significance`). The last table is over
all pairs of runs, unadjusted: K is half of the layers in each.
"""

from __future__ import annotations

import argparse
import re
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from _common import keep, kept, mean, read, run
from _picture import picture

RESULTS = Path(__file__).parent / "results" / "spt.json"
KEY = ("task", "backbone", "arm", "seed")
WORDS = ("learned", "all", "first", "last", "random")
LEARNED = "spt learned"
OTHERS = ("lpt", "p_tuning_v2", "capt", "head_only", "lora")
HEAD = (
    "| arm | {metric} | deviation | by seed | to {reference} | 95 % interval | p | Holm "
    "| layers | trained | tunable % | stored | seconds |"
)


def run_all(options: argparse.Namespace) -> None:
    """Train what is not done yet, seed by seed, and write what there is after every run."""
    import softprompt as sp
    from softprompt.cli.common import quiet
    from softprompt.compare.layers import selections
    from softprompt.methods import method as method_of
    from softprompt.methods.parts.layers import usual

    quiet()
    loaded = sp.load_backbone(options.backbone)
    anatomy = sp.read_anatomy(loaded[0])
    count = options.keep or usual(anatomy.num_layers)
    chosen = selections(WORDS, count, anatomy.num_layers)
    arms = {f"spt {one}": sp.method("spt", select=one) for one in chosen}
    learned = next(one for one in chosen if one.startswith("learned"))
    arms[f"spt {learned} network"] = sp.method("spt", select=learned, consistency_pair="network")
    arms |= {name: method_of(name) for name in OTHERS if method_of(name).refusal(anatomy) is None}
    place = options.out / f"{options.task}-{options.backbone.removeprefix('embedded:').replace('/', '-')}"
    done = {tuple(row[name] for name in KEY) for row in read(options.results)}
    for seed in options.seeds:
        task = sp.Task.load(options.task, data=options.data, seed=seed, max_test_rows=options.test_rows)
        for arm, method in arms.items():
            if (options.task, options.backbone, arm, seed) in done:
                continue
            print(f"== {options.task} {arm} seed {seed} on {options.backbone}", flush=True)
            folder = place / f"{arm.replace(' ', '-').replace(':', '')}-{seed}"
            steps = {} if options.steps is None else {"max_steps": options.steps}
            metrics = run(loaded, task, method, seed, folder, options.backbone, **steps)
            if metrics is not None:
                own = kept(metrics, ("task", "backbone", "method", "seed"))
                more = {name: metrics.get("course", metrics).get(name) for name in ("kept_layers", "gates")}
                row = {**own, "arm": arm, "layers": anatomy.num_layers, **more}
                write(keep(options.results, row, KEY), options.results)


def write(rows: list[dict[str, Any]], path: Path) -> None:
    """The tables, and a picture for each task and backbone."""
    parts = []
    for (task, backbone), runs in grouped(rows).items():
        found = compared(runs)
        parts.append(f"## {task}, {backbone}\n\n{table(found)}\n\n{grid(found)}")
        drawn = path.with_name(f"{path.stem}-{task}-{backbone.removeprefix('embedded:').replace('/', '-')}.svg")
        drawn.write_text(picture(found), encoding="utf-8")
    parts.append(f"## Over all tables\n\n{over_all(rows)}")
    path.with_suffix(".md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def grouped(rows: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, list[dict[str, Any]]]]:
    """The rows by task and backbone, in these by arm."""
    found: dict[tuple[str, str], dict[str, list[dict[str, Any]]]] = {}
    for row in rows:
        found.setdefault((row["task"], row["backbone"]), {}).setdefault(row["arm"], []).append(row)
    return found


def compared(runs: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The arms of a task and backbone, best first, beside learned layers."""
    from softprompt.compare.layers import summed

    ordered = dict(sorted(runs.items(), key=lambda pair: -mean(pair[1])))
    reference = min((arm for arm in ordered if arm.startswith("spt learned")), key=len, default=next(iter(ordered)))
    own = sorted(ordered[reference], key=lambda row: row["seed"])
    return {
        "task": own[0]["task"],
        "backbone": own[0]["backbone"],
        "metric": own[0]["metric"],
        "rows": own[0]["test"]["rows"],
        "layers": own[0]["layers"],
        "reference": reference,
        "arms": summed(ordered, reference, own[0]["layers"]),
        "learned": [{name: row[name] for name in ("seed", "kept_layers", "gates")} for row in own],
    }


def table(found: dict[str, Any]) -> str:
    """Mean, deviation, test and cost of each arm."""
    from softprompt.explain.layers import arm_difference, strip, tunable

    lines = [HEAD.format(**found), "|---" * HEAD.count(" | ") + "|---|"]
    for arm in found["arms"]:
        cells = (
            arm["arm"],
            f"{arm['mean']:.3f}",
            "" if arm["deviation"] is None else f"{arm['deviation']:.3f}",
            ", ".join(f"{one['seed']}: {one['value']:.3f}" for one in sorted(arm["runs"], key=lambda one: one["seed"])),
            *arm_difference(arm),
            strip(arm["share"]),
            f"{arm['trained_parameters']:,}",
            tunable(arm),
            f"{arm['stored_parameters']:,}",
            f"{arm['seconds']:.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def over_all(rows: list[dict[str, Any]]) -> str:
    """Mean and deviation of each arm in each table, and how far learned layers lie above it over all pairs of runs."""
    from softprompt.compare.significance import paired

    tables = list(dict.fromkeys((row["task"], row["backbone"]) for row in rows))
    arms: dict[str, dict[tuple[str, str, int], float]] = {}
    for row in rows:
        own = arms.setdefault(re.sub(r":\d+", "", row["arm"]), {})  # K differs from backbone to backbone
        own[row["task"], row["backbone"], row["seed"]] = row["test"][row["metric"]]
    titles = [f"{task}, {backbone.removeprefix('embedded:')}" for task, backbone in tables]
    lines = [f"| arm | {' | '.join(titles)} | learned over it | pairs | p |", "|---" * (len(titles) + 4) + "|"]
    for arm, figures in sorted(arms.items(), key=lambda pair: -statistics.mean(pair[1].values())):
        cells = [arm]
        for place in tables:
            own = [value for (*table, _), value in figures.items() if tuple(table) == place]
            cells.append(f"{statistics.mean(own):.3f} ± {statistics.stdev(own):.3f}" if len(own) > 1 else "")
        both = [one for one in figures if one in arms[LEARNED]]
        told = paired([arms[LEARNED][one] for one in both], [figures[one] for one in both]) if both else None
        if arm == LEARNED or told is None or told.interval is None:
            cells += ["", "", ""]
        else:
            least, most = told.interval
            cells += [f"{told.mean:+.3f} ({least:+.3f} to {most:+.3f})", str(told.pairs), f"{told.p:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def grid(found: dict[str, Any]) -> str:
    """Layer by seed: a full mark where the learned arm keeps the layer, and the gates' mean probability."""
    numbers = range(found["layers"])
    lines = [f"| {found['reference']} | {' | '.join(map(str, numbers))} |", "|---" * (found["layers"] + 1) + "|"]
    for row in found["learned"]:
        marks = ("●" if layer in row["kept_layers"] else "·" for layer in numbers)
        lines.append(f"| seed {row['seed']} | {' | '.join(marks)} |")
    gates = [row["gates"] for row in found["learned"] if row["gates"]]
    if gates:
        means = (f"{sum(one[layer] for one in gates) / len(gates):.2f}" for layer in numbers)
        lines.append(f"| gates, mean | {' | '.join(means)} |")
    return "\n".join(lines)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="sst2")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", default="embedded:minilm")
    parser.add_argument("--seeds", type=int, nargs="+", default=[13, 21, 42, 87, 100])
    parser.add_argument("--keep", type=int, default=None, help="K; default: 8, at most half of the layers")
    parser.add_argument("--test-rows", type=int, default=400)
    parser.add_argument("--steps", type=int, default=None, help="for a trial: so few steps a run; give --results too")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    options = parser.parse_args()
    run_all(options)
    print(options.results.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
