"""The page of the layers that searches kept: a map of tasks and layers with the groups, and each group's share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from softprompt.explain.patterns import LayerPatterns, group_table
from softprompt.pages.heat import Cells, Colours, heat
from softprompt.pages.parts import Figure, Table
from softprompt.pages.shell import write_page


def patterns_page(found: LayerPatterns, path: str | Path, title: str) -> Path:
    """Write the page.

    Args:
        found: as `layer_patterns` gives it.
        path: the HTML file; nothing in it is fetched from elsewhere.
        title: of the page.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    columns, rows = group_table(found)
    lines = [
        f"{sum(one.runs for one in found.tasks)} searches over {found.layers} layers; layer 0 reads the embedding.",
        "By chance: the share of every layer where as many are drawn at random. The groups are those that are said, "
        "second-hand, of SPT on RoBERTa-large, at the same parts of the depth.",
    ]
    figures = [map_figure(found), *([gates_figure(found)] if any(one.gates for one in found.tasks) else [])]
    table = Table("Mean share of each group's layers", tuple(columns), tuple(map(tuple, rows)))
    return write_page(path, title, lines, [*figures, table])


def map_figure(found: LayerPatterns) -> Figure:
    """A cell for each task and layer: the share of the runs that kept it."""
    caption = "For each task (down) and layer (across) the share of its searches that kept the layer."
    return _map(
        found, [one.share for one in found.tasks], "How often each layer was kept", caption, "share of searches"
    )


def gates_figure(found: LayerPatterns) -> Figure:
    """The same of the gates' probabilities at the end of the search; rows without any are empty."""
    values: list[Sequence[float | None]] = [one.gates or [None] * found.layers for one in found.tasks]
    caption = "The mean over the searches of the probability that the layer's gate is open when the search ends."
    return _map(found, values, "Probability of each layer's gate at the end", caption, "probability")


def _map(found: LayerPatterns, values: Sequence[Sequence[float | None]], title: str, caption: str, name: str) -> Figure:
    groups = [(group, start, end) for group, (start, end) in found.groups.items() if start < end]
    numbers = [str(layer) for layer in range(found.layers)]
    cells = Cells(values, found.labels(), numbers, across="layer", groups=groups)
    return heat(title, caption, cells, Colours(name, 0, 1))
