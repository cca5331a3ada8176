"""Pictures of a choice of layers: the gates of the search, the layers kept, and what the controls reach.

They are drawn from what `softprompt select` finds (`softprompt.compare.layers.select_layers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from softprompt.backbones.tunable import Tunable
from softprompt.compare.formats.feet import chance
from softprompt.compare.ranks import LEVEL
from softprompt.compare.results import Arm, LayerComparison
from softprompt.pages.dots import Axis, Dot, dots
from softprompt.pages.heat import Cells, Colours, heat
from softprompt.pages.parts import Figure, Table
from softprompt.pages.shell import write_page

_BARS = "▁▂▃▄▅▆▇█"


def layers_page(found: LayerComparison, path: str | Path, title: str) -> Path:
    """Write the page: what each arm reaches, the layers kept, the gates over the search, and the table.

    Args:
        found: as `select_layers` returns it.
        path: the HTML file; nothing in it is fetched from elsewhere.
        title: of the page.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    lines = [
        f"{found['method']} on {found['task']}, {found['backbone']}, {found['rows']} test rows, "
        f"seeds {', '.join(map(str, found['seeds']))}.",
        "Every arm is the same method at other layers; differences are taken seed by seed, see the note at the end.",
        apart(found),
    ]
    return write_page(
        path, title, lines, [arms_figure(found), *kept_figures(found), *gates_figures(found), _table(found)]
    )


def apart(found: LayerComparison) -> str:
    """Which arms the test tells apart from the reference."""
    differing = [
        arm["arm"]
        for arm in found["arms"]
        if arm["difference"] is not None and (arm["difference"]["p_holm"] or 1) < LEVEL
    ]
    which = ", ".join(differing) or "no arm"
    return f"After Holm's correction {which} differs from {found['reference']} (p < {LEVEL})."


def gates_figures(found: LayerComparison) -> list[Figure]:
    """The probability of each layer's gate over the turns of the search: a heat map for each searched arm and seed."""
    caption = (
        "How likely the search keeps each layer open, from turn to turn. The colours go from 0 to 1 whatever the gates "
        "do: they start at a half, which is grey, and where they hardly move the map stays so."
    )
    figures = []
    for arm, courses in found["gates"].items():
        for seed in found["seeds"]:
            turns = courses.get(str(seed), [])
            if not turns:
                continue
            values = [list(layer) for layer in zip(*turns, strict=True)]
            ends = min(map(min, values)), max(map(max, values))
            cells = Cells(
                values,
                [str(layer) for layer in range(len(values))],
                [str(turn) for turn in range(1, len(turns) + 1)],
                across="turn",
                down="layer",
            )
            told = f"{caption} Here they lie from {ends[0]:.3f} to {ends[1]:.3f}."
            name = f"Gates of {arm}, seed {seed}"
            figures.append(heat(name, told, cells, Colours("probability that the layer is open", 0, 1, two_ways=True)))
    return figures


def kept_figures(found: LayerComparison) -> list[Figure]:
    """The layers that each run of the reference keeps, a column a seed; none where it has no layers of its own."""
    own = next(arm for arm in found["arms"] if arm["arm"] == found["reference"])
    kept = [run["kept_layers"] or () for run in own["runs"]]
    if not any(kept):
        return []
    cells = Cells(
        [[float(layer in one) for one in kept] for layer in range(found["layers"])],
        [str(layer) for layer in range(found["layers"])],
        [f"seed {run['seed']}" for run in own["runs"]],
        [["kept" if layer in one else "" for one in kept] for layer in range(found["layers"])],
        down="layer",
    )
    caption = "The layers with which each run was trained in the end; a choice differs from seed to seed."
    return [heat(f"Layers kept by {own['arm']}", caption, cells, Colours("kept", 0, 1))]


def arms_figure(found: LayerComparison) -> Figure:
    """What each arm reaches: the mean as a dot, one deviation to each side, the seeds as rings."""
    metric = found["metric"]
    own = next(arm for arm in found["arms"] if arm["arm"] == found["reference"])
    items = [_dot(arm, reference=arm is own) for arm in found["arms"]]
    caption = (
        "The dot is the mean over seeds, the line reaches one deviation of the seeds to each side, the rings are the "
        "seeds; the broken line is the reference's mean. A place on the scale is no length: it begins where values do."
    )
    return dots(f"{metric} of each arm", caption, items, Axis(metric, None, {own["arm"]: own["mean"]}))


def _dot(arm: Arm, *, reference: bool) -> Dot:
    reach = arm["deviation"] or 0.0
    interval = (arm["mean"] - reach, arm["mean"] + reach) if reach else None
    rings = tuple(run["value"] for run in arm["runs"])
    return Dot(arm["arm"], arm["mean"], interval, rings=rings, note="reference" if reference else "")


def strip(share: Sequence[float] | None) -> str:
    """A mark for each layer: a dot where no seed keeps it, a full bar where all do."""
    if share is None:
        return ""
    return "".join("·" if not value else _BARS[round(value * (len(_BARS) - 1))] for value in share)


def arm_difference(arm: Arm) -> tuple[str, str, str, str]:
    """An arm's difference to the reference, its interval, p and p after Holm, as texts; empty where there is none."""
    found = arm["difference"]
    if found is None:
        return "", "", "", ""
    interval = "" if found["interval"] is None else "{:+.3f} to {:+.3f}".format(*found["interval"])
    return f"{found['mean']:+.3f}", interval, chance(found["p"]), chance(found["p_holm"])


def tunable(arm: Arm) -> str:
    """The share of the backbone that an arm trains, in percent, and without its head; empty where no run tells it."""
    return "" if arm["tunable"] is None else Tunable(**arm["tunable"]).told()


def _table(found: LayerComparison) -> Table:
    rows = tuple(
        (
            arm["arm"],
            f"{arm['mean']:.3f}",
            "" if arm["deviation"] is None else f"{arm['deviation']:.3f}",
            *arm_difference(arm),
            strip(arm["share"]),
            f"{arm['trained_parameters']:,}",
            tunable(arm),
            f"{arm['stored_parameters']:,}",
            f"{arm['seconds']:.0f}",
        )
        for arm in found["arms"]
    )
    columns = ("arm", found["metric"], "deviation", f"to {found['reference']}", "95 % interval", "p", "p, Holm")
    foot = (
        f"{found['test']}. Few seeds have little power: a difference without a small p is not shown to be none.",
        "Layers: a mark for each, from 0; the higher, the more seeds keep it.",
        ", ".join(f"{name} {number}" for name, number in found["versions"].items()),
    )
    more = ("layers", "trained", "tunable %", "stored", "seconds")
    return Table("Arms, tests and costs", (*columns, *more), rows, foot)
