"""The vectors of a prompt as they are stored: how long they are, and how alike, which no backbone is needed for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from softprompt.errors import SoftPromptError
from softprompt.explain.report.run_files import RunFiles
from softprompt.files.forms import read_forms
from softprompt.files.places import TENSORS, folder_of
from softprompt.files.tensors import read_tensors
from softprompt.files.written import check_written
from softprompt.pages.dots import Axis, Dot, dots
from softprompt.pages.heat import Cells, Colours, heat
from softprompt.pages.parts import Facts, Figure, Note, Part, Table

_MOST = 40  # vectors whose similarities are drawn
_SHOWN = 200  # names of tensors


def stored_parts(files: RunFiles) -> list[Part]:
    """What the tensors of a prompt tell by themselves."""
    folder = folder_of(files.folder)
    try:
        forms = read_forms(folder / TENSORS)
        tensors = read_tensors(folder / TENSORS)
        check_written(folder)
    except SoftPromptError as error:
        return [Note(f"The prompt's vectors cannot be read: {error}")]
    rows = tuple(
        (name, " x ".join(map(str, form.shape)), f"{tensors[name].float().norm():.4g}")
        for name, form in list(forms.items())[:_SHOWN]
    )
    parts: list[Part] = [Table("What is stored", ("tensor", "shape", "norm"), rows)]
    table = tensors.get("table")
    if table is None or table.ndim not in (2, 3) or not table.is_floating_point():
        return parts
    layers = _layers(files, table)
    return [*parts, norms(table.float(), layers), *alike(table.float(), layers)]


def _layers(files: RunFiles, table: Tensor) -> list[int]:
    """The layers that the vectors of a table `(L, P, H)` stand at, from 0."""
    kept = files.metrics.kept_layers
    count = len(table) if table.ndim == 3 else 0
    return list(kept) if kept is not None and len(kept) == count else list(range(count))


def norms(table: Tensor, layers: list[int]) -> Figure:
    """The norm of each vector of a table `(P, D)` or `(L, P, H)`."""
    found = table.norm(dim=-1)
    if table.ndim == 2:
        items = [Dot(f"token {place}", float(one)) for place, one in enumerate(found)]
        caption = "The length of each stored vector."
    else:
        items = [
            Dot(f"layer {layer}", float(one.mean()), rings=tuple(one.tolist()) if len(one) > 1 else ())
            for layer, one in zip(layers, found, strict=True)
        ]
        caption = "The length of what is stored for each layer: the mean over its vectors, which are the rings."
    return dots("Norms of the vectors", caption, items, Axis("norm"))


def alike(table: Tensor, layers: list[int]) -> list[Figure]:
    """The cosines of all pairs of vectors: of tokens, or of the layers' means; none of a single one."""
    rows = table if table.ndim == 2 else table.mean(1)
    if len(rows) < 2:
        return []
    shown = rows[:_MOST]
    names = [str(place) for place in (layers if table.ndim == 3 else range(len(rows)))][:_MOST]
    units = normalize(shown.double(), dim=-1)
    values = (units @ units.T).clamp(-1, 1)
    what = "virtual token" if table.ndim == 2 else "layer"
    off = values[~torch.eye(len(values), dtype=torch.bool)]
    cut = f" The first {_MOST} of {len(rows)} are shown." if len(rows) > _MOST else ""
    caption = (
        f"The cosine of every pair of {what}s{' (their mean vectors)' if table.ndim == 3 else ''}, on average "
        f"{off.mean():.3f} of different ones. Blue is alike, orange opposite.{cut}"
    )
    cells = Cells(values.tolist(), names, names, across=what, down=what)
    colours = Colours("cosine", -1, 1, two_ways=True)
    return [heat(f"How alike the {what}s are", caption, cells, colours)]


def course_parts(files: RunFiles) -> list[Part]:
    """What the training settled besides vectors: layers, gates, weights of a mixture, pruned tokens."""
    course, parts = files.metrics.course, list[Part]()
    kept, gates = files.metrics.kept_layers, course.get("gates")
    facts = [("kept layers", ", ".join(map(str, kept)) or "none")] if kept is not None else []
    pruned = course.get("pruned")
    if isinstance(pruned, dict):
        facts += [(f"pruned: {name.replace('_', ' ')}", _told(value)) for name, value in pruned.items()]
    for name in ("effective_prompts", "trigger", "template", "calibration", "label_tokens"):
        if name in course:
            facts.append((name.replace("_", " "), _told(course[name])))
    parts += [Facts(tuple(facts))] if facts else []
    if isinstance(gates, list):
        caption = (
            "The probability of each layer's gate when the search ended; the layers with the highest were kept. The "
            "broken line is a half, where every gate starts."
        )
        items = [
            Dot(f"layer {place}", float(one), note="kept" if kept is not None and place in kept else "")
            for place, one in enumerate(gates)
            if isinstance(one, int | float)
        ]
        parts.append(dots("Gates", caption, items, Axis("probability of being open", (0, 1), {"start": 0.5})))
    weights = course.get("mixture_weights")
    if isinstance(weights, list) and weights:
        items = [
            Dot(f"member {place}", float(one)) for place, one in enumerate(weights) if isinstance(one, int | float)
        ]
        caption = "The weight that training gave each member of the mixture; equal weights are the broken line."
        axis = Axis("weight", (0, max(one.value or 0 for one in items) * 1.1), {"equal": 1 / len(items)})
        parts.append(dots("Mixture weights", caption, items, axis))
    return parts


def _told(value: object) -> str:
    if isinstance(value, list) and len(value) > 24:
        return f"{', '.join(map(str, value[:24]))} ... ({len(value)})"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_told(one)}" for name, one in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
