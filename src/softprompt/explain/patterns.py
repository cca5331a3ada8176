r"""Which layers a search keeps, task by task: a map of finished runs.

Zhu and Tan, "SPT: Learning to Selectively Insert Prompts for Better Prompt Tuning", EMNLP 2023,
<https://arxiv.org/abs/2310.20127>. Second-hand alone, and not checked against the paper: on RoBERTa-large the embedding
layer and layers 0 to 4, and 10 to 19, are kept often, the last four never. The map tells for each task and layer

    share = runs of the task that keep the layer / runs of the task

and for each group of layers the mean of the shares, beside what K layers drawn by chance would give, K / L.

Layer l is the place in front of it, so that layer 0 reads the embedding's output. The groups are those of the sentence
above, at the same parts of the depth where a backbone has not 24 layers (ours): the embedding, the rest of the lowest
5/24 (`bottom`), what the sentence is silent on (`between`), 10/24 to 20/24 (`middle`), and the rest (`last`, four of
24). Runs of backbones of other depths are refused: a layer is compared with itself alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.explain.layers import strip
from softprompt.files.places import METRICS, RUN, TASKS, folder_of, refuse_several
from softprompt.guards.kinds import several
from softprompt.guards.paths import entries, path_of
from softprompt.guards.summaries import Summarised, Summary
from softprompt.storage.record import read_description
from softprompt.training.finished import RunMetrics, read_metrics

# What stands for a group above the map; the sentence says nothing of `between`.
_LETTERS = {"embedding": "e", "bottom": "b", "between": ".", "middle": "m", "last": "l"}
_DEPTH, _BOTTOM, _MIDDLE, _LAST = 24, 5, 10, 20  # RoBERTa-large's layers, and where its groups begin


@dataclass(frozen=True)
class TaskPattern:
    """How often the runs of a task kept each layer.

    Attributes:
        task: its name.
        method: that was searched with.
        backbone: its name.
        runs: how many.
        kept: K, the mean over the runs.
        share: of the runs that kept each layer, `(L,)`.
        gates: the mean of the gates' last probabilities, `(L,)`; None where a run tells none.
    """

    task: str
    method: str
    backbone: str
    runs: int
    kept: float
    share: tuple[float, ...]
    gates: tuple[float, ...] | None

    def of(self, layers: range) -> float:
        """The mean share of a group's layers."""
        return sum(self.share[layer] for layer in layers) / len(layers)

    @property
    def chance(self) -> float:
        """The share of every layer where as many are drawn at random."""
        return self.kept / len(self.share)


@dataclass(frozen=True, repr=False)
class LayerPatterns(Summarised):
    """The map.

    Attributes:
        layers: L.
        groups: the layers of each group: the first and the one behind the last.
        tasks: one for each task, method and backbone.
        controls: runs that were left out, since their layers were not searched for.
    """

    layers: int
    groups: dict[str, tuple[int, int]]
    tasks: tuple[TaskPattern, ...]
    controls: int

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return asdict(self)

    def summary(self) -> Summary:
        """What a notebook shows of it: each group's shares."""
        columns, rows = group_table(self)
        return Summary(f"Layers kept, of {self.layers}", columns=columns, rows=rows)

    def labels(self) -> list[str]:
        """A name for each row: the task, with the method and the backbone where these differ."""
        more = [len({getattr(one, name) for one in self.tasks}) > 1 for name in ("method", "backbone")]
        return [
            ", ".join([one.task, *(text for text, told in zip((one.method, one.backbone), more, strict=True) if told)])
            for one in self.tasks
        ]


def layer_patterns(folders: Sequence[str | Path]) -> LayerPatterns:
    """Read which layers the searches of finished runs kept; no backbone is loaded.

    Args:
        folders: of runs whose layers were searched for (`select=learned:K`), or folders of such runs, as
            `select_layers` writes them; the controls among these are left out.

    Raises:
        SoftPromptError: a folder without a finished run, no run with a search, or backbones of other depths.

    Example:
        >>> run = sp.train(model, tokenizer, task, "spt", output="runs/spt", max_steps=2, progress=False)
        >>> found = sp.layer_patterns(["runs/spt"])
        >>> sum(found.tasks[0].share) == len(run.metrics["course"]["kept_layers"])
        True
    """
    folders = several("layer_patterns", "folders", folders, (str, PathLike))
    places = list(dict.fromkeys(place for folder in folders for place in _runs_of(path_of(folder, "run"))))
    read = [(place, read_metrics(place / METRICS)) for place in places]
    searched = [(place, metrics) for place, metrics in read if _searched(metrics)]
    if not searched:
        told = ", ".join(map(str, folders)) or "no folder"
        raise SoftPromptError(f"{told}: no run whose layers were searched for: train with --select learned:K")
    depths = {place: _depth(place) for place, _ in searched}
    first, layers = next(iter(depths.items()))
    for place, depth in depths.items():
        if depth != layers:
            raise SoftPromptError(
                f"{place} has a backbone of {depth} layers and {first} one of {layers}: name runs of one depth, for a "
                "layer is compared with itself alone"
            )
    rows: dict[tuple[str, str, str], list[RunMetrics]] = {}
    for _, metrics in searched:
        rows.setdefault((metrics.task, metrics.method, metrics.backbone), []).append(metrics)
    patterns = tuple(_pattern(runs, layers) for _, runs in sorted(rows.items()))
    return LayerPatterns(layers, groups_of(layers), patterns, len(read) - len(searched))


def groups_of(layers: int) -> dict[str, tuple[int, int]]:
    """The groups of L layers, by name: the first layer and the one behind the last; see the module."""
    bottom, middle, last = (max(1, (part * layers + _DEPTH // 2) // _DEPTH) for part in (_BOTTOM, _MIDDLE, _LAST))
    ends = (0, 1, bottom, middle, last, layers)
    return {name: (start, max(start, end)) for name, start, end in zip(_LETTERS, ends, ends[1:], strict=False)}


def map_table(found: LayerPatterns) -> tuple[list[str], list[list[str]]]:
    """The map in marks: the names of the columns, and a line of texts for each task, the groups' letters above."""
    initials = "".join(_LETTERS[name] * (end - start) for name, (start, end) in found.groups.items())
    lines = [
        [label, str(one.runs), f"{one.kept:.3g}", strip(one.share)]
        for label, one in zip(found.labels(), found.tasks, strict=True)
    ]
    return ["task", "runs", "kept", f"layers 0 to {found.layers - 1}"], [["", "", "", initials], *lines]


def group_table(found: LayerPatterns) -> tuple[list[str], list[list[str]]]:
    """The mean shares of the groups: the names of the columns, and a line of texts for each task, and for all tasks."""
    spans = {name: range(*ends) for name, ends in found.groups.items() if ends[0] < ends[1]}
    lines = [
        [label, *(_share(one.of(span)) for span in spans.values()), _share(one.chance)]
        for label, one in zip(found.labels(), found.tasks, strict=True)
    ]
    if len(found.tasks) > 1:
        means = [_mean([one.of(span) for one in found.tasks]) for span in spans.values()]
        lines.append(["all tasks", *map(_share, means), _share(_mean([one.chance for one in found.tasks]))])
    return ["task", *(_heading(name, span) for name, span in spans.items()), "by chance"], lines


def _heading(name: str, span: range) -> str:
    return f"{name} {span[0]}" if len(span) == 1 else f"{name} {span[0]}-{span[-1]}"


def _share(value: float) -> str:
    return f"{value:.2f}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _pattern(runs: Sequence[RunMetrics], layers: int) -> TaskPattern:
    """The row of one task's runs."""
    kept = [run.kept_layers or [] for run in runs]
    share = tuple(sum(layer in one for one in kept) / len(runs) for layer in range(layers))
    gates = [one for one in map(_gates, runs) if one is not None and len(one) == layers]
    means = tuple(sum(one[layer] for one in gates) / len(gates) for layer in range(layers)) if gates else None
    first = runs[0]
    mean = sum(map(len, kept)) / len(runs)
    return TaskPattern(first.task, first.method, first.backbone, len(runs), mean, share, means)


def _gates(run: RunMetrics) -> list[float] | None:
    """The gates' last probabilities, as the search reports them."""
    found = run.course.get("gates")
    return [float(one) for one in found if isinstance(one, int | float)] if isinstance(found, list) else None


def _searched(run: RunMetrics) -> bool:
    """Whether a search chose the layers, and no rule."""
    return run.kept_layers is not None and str(run.options.get("method", {}).get("select")).startswith("learned")


def _depth(run: Path) -> int:
    return read_description(folder_of(run)).record.backbone.num_layers


def _parts_of(place: Path) -> list[Path]:
    """A folder, or of a run of several tasks those of each task."""
    return [*entries(place / TASKS)] if (place / TASKS).is_dir() else [place]


def _runs_of(folder: Path) -> list[Path]:
    """The finished runs of a folder: itself, or those that lie in it.

    Raises:
        SoftPromptError: there is none.
    """
    refuse_several(folder)
    if (folder / METRICS).is_file():
        return [folder.resolve()]
    if not folder.is_dir():
        raise SoftPromptError(f"{folder}: no such folder; name the --out folder of a run or of select")
    if (folder / RUN).is_file():
        raise SoftPromptError(f"{folder}: this run is not finished: softprompt train --resume --out {folder} goes on")
    inside = [run for place in entries(folder) for run in _parts_of(place)]
    found = [place.resolve() for place in inside if (place / METRICS).is_file()]
    if not found:
        raise SoftPromptError(f"{folder}: no finished run in it; name the --out folder of a run or of select")
    return found
