"""How often the intervals of `softprompt results` cover, and how often its tests raise a false alarm.

    python benchmarks/intervals.py

Rows are easy or hard, seeds good or bad: a row r is answered rightly by seed s where 1.2 + e_r + d_s + noise > 0, with
e and the noise standard normal and d of a given deviation, about 0.8 in the mean. Of 200 such tables each the share
whose 95 % interval holds the true mean; and of 200 pairs of tables of two methods that are alike (the same rows, seeds
of their own) the share with p < 0.05. Figures go to benchmarks/results/intervals.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.stats import norm, t

from softprompt.compare.resampling import Answered, Units, chance_over_rows, interval
from softprompt.compare.significance import larger, paired

RESULTS = Path(__file__).parent / "results" / "intervals.md"
MIDDLE, TABLES = 1.2, 200
CASES = [(spread, seeds, rows) for spread in (0.0, 0.1, 0.3) for seeds, rows in ((3, 400), (5, 400))]


def table(easy: np.ndarray, seeds: int, spread: float, chance: np.random.Generator) -> np.ndarray:
    """Hits, `(seeds, rows)`, of rows that are so easy."""
    good = chance.normal(0, spread, (seeds, 1))
    return (MIDDLE + easy + good + chance.normal(0, 1, (seeds, len(easy))) > 0).astype(float)


def units(hits: np.ndarray) -> Units:
    """The hits as answers of one method."""
    sums = {seed: np.stack([own, np.ones_like(own)], axis=1) for seed, own in enumerate(hits)}
    return Units.of("accuracy", {seed: Answered("rows", one) for seed, one in sums.items()})


def truth(spread: float) -> float:
    """The mean over rows and seeds: Phi of the middle over the deviation of all that is drawn."""
    return float(norm.cdf(MIDDLE / np.sqrt(2 + spread**2)))


def covered(spread: float, seeds: int, rows: int, chance: np.random.Generator) -> tuple[float, float]:
    """The shares of intervals that hold the truth: of the bootstrap, and of Student over the seeds."""
    found = np.zeros(2)
    for _ in range(TABLES):
        hits = table(chance.normal(0, 1, rows), seeds, spread, chance)
        low, high = interval(units(hits)) or (0.0, 1.0)
        means = hits.mean(axis=1)
        reach = t.ppf(0.975, seeds - 1) * means.std(ddof=1) / np.sqrt(seeds)
        found += low <= truth(spread) <= high, abs(means.mean() - truth(spread)) <= reach
    return found[0] / TABLES, found[1] / TABLES


def alarms(spread: float, seeds: int, rows: int, chance: np.random.Generator) -> tuple[float, float, float]:
    """The shares of p < 0.05 where nothing is: over rows, over seeds, and the larger of the two."""
    found = np.zeros(3)
    for _ in range(TABLES):
        easy = chance.normal(0, 1, rows)
        ours, theirs = (table(easy, seeds, spread, chance) for _ in range(2))
        p_rows = chance_over_rows(units(ours), units(theirs))
        p_seeds = paired(ours.mean(axis=1).tolist(), theirs.mean(axis=1).tolist()).p
        found += [p is not None and p < 0.05 for p in (p_rows, p_seeds, larger(p_seeds, p_rows))]
    return found[0] / TABLES, found[1] / TABLES, found[2] / TABLES


def main() -> None:
    """Measure each case and write the table."""
    lines = [
        "Share of 95 % intervals that hold the truth, and share of p < 0.05 between methods that are alike",
        "(`benchmarks/intervals.py`, 200 tables each).",
        "",
        "| deviation of seeds | seeds | rows | rows and seeds | seeds alone | p rows | p seeds | the larger |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for place, case in enumerate(CASES):
        shares = (*covered(*case, np.random.default_rng(place)), *alarms(*case, np.random.default_rng(100 + place)))
        spread = norm.cdf((MIDDLE + case[0]) / np.sqrt(2)) - norm.cdf(MIDDLE / np.sqrt(2))
        cells = (f"{spread:.3f}", str(case[1]), str(case[2]), *(f"{share:.3f}" for share in shares))
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
