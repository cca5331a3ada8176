"""What halving would have cut and saved in trials that ran to their end, by the validation curves that they left.

    python benchmarks/halving.py [--rates runs/rates/runs] [--searched benchmarks/results/search.json]

A set of trials is what search.py tried in one search or grid, or what rates.py trained of one method on one draw of a
task, each with another rate. Optuna's pruners are asked as `softprompt search` asks them, trial by trial; a grid's in
several orders, drawn at random. A winner is lost where none that goes on scores as well, by the rows that decide, as
the best of all. Seconds are shared out by evaluations. Figures go to benchmarks/results/halving.json and halving.md.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from _common import read

RESULTS = Path(__file__).parent / "results"
ORDERS = 5
Rule = Callable[[Sequence["Tried"]], list[float]]


class Tried(NamedTuple):
    """A trial that ran to its end.

    Attributes:
        curves: of its runs, the untrained state's evaluation first.
        scores: by the rows that decide, one a fold.
        seconds: it took.
    """

    curves: list[list[float]]
    scores: list[float]
    seconds: float


class Set(NamedTuple):
    """Trials of one search, in the order in which they were tried if that is known."""

    kind: str
    trials: list[Tried]
    ordered: bool


def by_curves(share: float, reduction: int, evaluations: int = 8) -> Rule:
    """Successive halving at a share of the evaluations; of each trial the share of its seconds that it is given."""
    rung = max(1, round(share * evaluations))

    def given(trials: Sequence[Tried]) -> list[float]:
        early = [mean(max(curve[: rung + 1]) for curve in one.curves) for one in trials]
        parts = [mean(min(1.0, rung / (len(curve) - 1)) for curve in one.curves) for one in trials]
        return [part if cut else 1.0 for cut, part in zip(halved(early, reduction), parts, strict=True)]

    return given


def by_folds(first: int, reduction: int) -> Rule:
    """Successive halving after some of the folds, by the mean of these."""

    def given(trials: Sequence[Tried]) -> list[float]:
        cut = halved([mean(one.scores[:first]) for one in trials], reduction)
        return [first / len(one.scores) if gone else 1.0 for one, gone in zip(trials, cut, strict=True)]

    return given


def halved(values: Sequence[float], reduction: int) -> list[bool]:
    """Which trials are cut, each by those before it."""
    from optuna import create_study
    from optuna.pruners import SuccessiveHalvingPruner

    study, found = create_study(direction="maximize", pruner=SuccessiveHalvingPruner(1, reduction)), []
    for value in values:
        trial = study.ask()
        trial.report(value, 1)
        found.append(trial.should_prune())
    return found


def by_wilcoxon(threshold: float) -> Rule:
    """Optuna's signed-rank test of a trial against the best so far, paired over the folds, after each of them."""

    def given(trials: Sequence[Tried]) -> list[float]:
        from optuna import create_study
        from optuna.pruners import WilcoxonPruner

        study, found = create_study(direction="maximize", pruner=WilcoxonPruner(p_threshold=threshold)), []
        for one in trials:
            trial, done = study.ask(), 0
            for done, score in enumerate(one.scores, 1):
                trial.report(score, done)
                if done < len(one.scores) and trial.should_prune():
                    break
            study.tell(trial, mean(one.scores[:done]))
            found.append(done / len(one.scores))
        return found

    return given


RULES: dict[str, tuple[Rule, str]] = {
    **{
        f"{name} of the evaluations, one in {reduction} goes on": (by_curves(share, reduction), "any")
        for name, share in (("a quarter", 1 / 4), ("a third", 1 / 3), ("half", 1 / 2))
        for reduction in (2, 3)
    },
    **{
        f"{first} of 4 folds, one in {reduction} goes on": (by_folds(first, reduction), "folds")
        for first in (1, 2)
        for reduction in (2, 3)
    },
    **{f"Wilcoxon over folds, p < {p}": (by_wilcoxon(p), "folds") for p in (0.1, 0.15, 0.3)},
}


def sets_of_searches(path: Path) -> list[Set]:
    """What search.py tried."""
    found = []
    for row in [row for row in read(path) if row["strategy"] in ("search", "grid")]:
        trials = [Tried(one["curves"], one["scores"], one["seconds"]) for one in row["trials"]]
        measured = "validation rows" if row["folds"] == 1 else "folds"
        found.append(Set(f"{row['method']}, {measured}", trials, row["strategy"] == "search"))
    return found


def sets_of_rates(folder: Path) -> list[Set]:
    """What rates.py trained: one method on one draw of a task, with four rates or more."""
    groups: dict[tuple[str, str, str], list[Tried]] = defaultdict(list)
    for path in sorted(folder.glob("*/*/metrics.json")):
        match = re.fullmatch(r"(.+?)-([\d.e-]+)-(\d+)", path.parent.name)
        assert match is not None, path
        record = json.loads(path.read_text(encoding="utf-8"))
        curve = [one[record["metric"]] for one in record["history"]]
        group = groups[path.parents[1].name, match[1], match[3]]
        group.append(Tried([curve], [record["validation"][record["metric"]]], record["train_seconds"]))
    return [Set("rates of prompts", trials, False) for trials in groups.values() if len(trials) >= 4]


def replayed(own: Set, rule: Rule) -> list[dict[str, float]]:
    """What a rule would have done, in each order."""
    found = []
    for order in range(1 if own.ordered else ORDERS):
        trials = list(own.trials)
        if not own.ordered:
            random.Random(order).shuffle(trials)
        given, scores = rule(trials), [mean(one.scores) for one in trials]
        kept = max(score for score, part in zip(scores, given, strict=True) if part == 1)
        whole = sum(one.seconds for one in trials)
        spent = sum(one.seconds * part for one, part in zip(trials, given, strict=True))
        cut = mean(part < 1 for part in given)
        found.append({"lost": kept < max(scores), "by": max(scores) - kept, "saved": 1 - spent / whole, "cut": cut})
    return found


def main() -> None:
    """Replay every rule on every set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=Path)
    parser.add_argument("--searched", type=Path, default=RESULTS / "search.json")
    options = parser.parse_args()
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")  # Optuna's own of its pruner, and scipy's of few pairs
    sets = sets_of_searches(options.searched) + ([] if options.rates is None else sets_of_rates(options.rates))
    rows = []
    for kind in sorted({one.kind for one in sets}):
        own = [one for one in sets if one.kind == kind]
        for name, (rule, of) in RULES.items():
            if of == "any" or kind.endswith(of):
                ends = [_means(replayed(one, rule)) for one in own]
                rows.append({"trials of": kind, "sets": len(own), "rule": name} | _means(ends))
    (RESULTS / "halving.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    lines = ["| trials of | sets | rule | trials cut | winner lost | by, in the mean | seconds saved |"]
    lines.append("|---|---|---|---|---|---|---|")
    lines += [
        f"| {row['trials of']} | {row['sets']} | {row['rule']} | {row['cut']:.0%} | {row['lost']:.0%} "
        f"| {row['by']:.4f} | {row['saved']:.0%} |"
        for row in rows
    ]
    (RESULTS / "halving.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _means(ends: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(mean(float(one[name]) for one in ends), 5) for name in ends[0]}


if __name__ == "__main__":
    main()
