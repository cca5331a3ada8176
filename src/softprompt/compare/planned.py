"""A plan whose names were looked for: its cells with their rows, or every fault in it, a line each.

Nothing is trained and no backbone is loaded here. Whether a backbone can serve a method shows in a cell of the two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

from pydantic import JsonValue

from softprompt.backbones.source import locate
from softprompt.compare.cells import Cell, LoadedTasks, cell_name, digest_of_text, method_label
from softprompt.compare.plan import ComparePlan, PlanFaults, PlannedMethod
from softprompt.compare.twice import given_twice, same_cells
from softprompt.errors import SoftPromptError
from softprompt.files.strict_json import dumps
from softprompt.guards.suggestions import did_you_mean
from softprompt.methods.base import Method
from softprompt.methods.registry import METHODS, method
from softprompt.presets.catalog import preset as preset_of
from softprompt.tasks import Splits, Task
from softprompt.tasks.guess.guess import OTHERWISE
from softprompt.tasks.row_hash import RowsHash
from softprompt.training.fitting.tracking import check_trackers
from softprompt.training.heard import check_heard
from softprompt.training.options import TrainingOptions, training_options
from softprompt.training.specified import check_splits

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Settings = dict[str, JsonValue]
METHOD, TRAINING = "method", "training"
_OTHERS = "to name others, let softprompt task new write the task's file"
_LOOKING_ON = {name for name, field in TrainingOptions.model_fields.items() if field.exclude}


class Rows(NamedTuple):
    """How many rows a cell trains, validates and tests on."""

    train: int
    validation: int
    test: int


@dataclass(frozen=True)
class Planned:
    """The cells of a plan.

    Attributes:
        cells: seed by seed, so that a table that is stopped early has all of its rows.
        rows: of each cell, by its name.
        digests: of all that makes a cell the one that it is, by its name.
        tasks: the name of its task, by its name.
        notes: what a reader should know: of the tasks' rows which columns were taken and what was left out, and which
            methods cannot be begun, for an option of theirs that no part of a run hears.
    """

    cells: tuple[Cell, ...]
    rows: Mapping[str, Rows]
    digests: Mapping[str, str]
    tasks: Mapping[str, str]
    notes: tuple[str, ...]


class _Chosen(NamedTuple):
    """A method that was looked for: what is set of it, its preset, a text of all that it comes to, and its fault."""

    label: str
    name: str
    own: _Settings
    training: _Settings
    preset: str | None
    dtype: str | None
    text: str
    unheard: str


class _Source(NamedTuple):
    """A task's rows for one seed, notes on them, and a text of all that they come to."""

    name: str
    rows: Rows
    notes: tuple[str, ...]
    text: str


@dataclass
class _Faults:
    """What is wrong in a plan, as it is found."""

    where: str
    lines: list[str] = field(default_factory=list)

    def of(self, place: str, look: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T | None:
        """What a look gives; its fault is noted with the key where it stands."""
        try:
            return look(*args, **kwargs)
        except SoftPromptError as error:
            self.lines.append(f"{self.where}: {place}: {error}")
            return None


def planned(plan: ComparePlan, where: str, folder: Path, dtype: str = "auto", device: str | None = None) -> Planned:
    """Look for everything that a plan names.

    Args:
        plan: with its keys in order.
        where: it stands, for messages.
        folder: of the cells' folders.
        dtype: of the backbones; with `auto` that of a preset counts.
        device: for the backbones.

    Raises:
        PlanFaults: a line for each fault.
    """
    faults = _Faults(where)
    for place, name in enumerate(plan.backbones):
        faults.of(f"backbones[{place}]", locate, name)
    chosen = [faults.of(f"methods[{place}]", _chosen, one) for place, one in enumerate(plan.methods)]
    sources = _sources(plan, faults)
    cells, rows, digests, tasks = list[Cell](), dict[str, Rows](), dict[str, str](), dict[str, str]()
    places: dict[str, list[dict[str, int]]] = defaultdict(list)
    for key, (body, backbone), (way, one) in product(sources, enumerate(plan.backbones), enumerate(chosen)):
        source, (task, shots, seed) = sources[key], key
        if source is None or one is None:
            continue
        name = cell_name(source.name, one.label, backbone, (shots, plan.max_test_rows), seed)
        cell = Cell(
            **_of_task(plan, task, shots, seed),
            name=name,
            folder=str(folder / name),
            backbone=backbone,
            dtype=one.dtype or "auto" if dtype == "auto" else dtype,
            device=device,
            method=one.name,
            method_options=one.own,
            training_options=one.training,
            preset=one.preset,
        )
        cells.append(cell)
        places[name].append({"tasks": task, "backbones": body, "methods": way})
        rows[name], tasks[name] = source.rows, source.name
        digests[name] = digest_of_text(source.text, one.text, backbone, cell.dtype, str(device), str(seed))
    faults.lines += [f"{where}: {line}" for line in (*given_twice(plan), *same_cells(places))]
    if faults.lines:
        raise PlanFaults(faults.lines)
    return Planned(tuple(cells), rows, digests, tasks, _notes(sources.values(), chosen))


def _notes(sources: Iterable[_Source | None], chosen: Iterable[_Chosen | None]) -> tuple[str, ...]:
    """What a reader should know, each once."""
    notes = [f"{one.name}: {note}" for one in sources if one is not None for note in one.notes]
    notes += [f"{one.label} cannot be begun: {one.unheard}" for one in chosen if one is not None and one.unheard]
    return tuple(dict.fromkeys(notes))


def _of_task(plan: ComparePlan, task: int, shots: int | None, seed: int) -> dict[str, str | bool | int | None]:
    """What a cell is told of its rows."""
    entry = plan.tasks[task]
    rows = {"seed": seed, "shots": shots, "max_test_rows": plan.max_test_rows}
    return {"task": entry.name, "data": entry.data, "skip_bad": entry.skip_bad, **rows}


def _sources(plan: ComparePlan, faults: _Faults) -> dict[tuple[int, int | None, int], _Source | None]:
    """The rows of every task, number of shots and seed; a task with a fault is looked at no further."""
    known, bad = LoadedTasks(), set[int]()
    found: dict[tuple[int, int | None, int], _Source | None] = {}
    for seed, task, shots in product(plan.seeds, range(len(plan.tasks)), plan.shots):
        if task in bad:
            continue
        asked = Cell(**_of_task(plan, task, shots, seed), name="", folder="", backbone="", method="")
        found[task, shots, seed] = own = faults.of(f"tasks[{task}]", _source, known, asked)
        if own is None:
            bad.add(task)
    return found


def _source(known: LoadedTasks, asked: Cell) -> _Source:
    """The rows of a cell.

    Raises:
        SoftPromptError: a fault in the task or its data, or no rows to train, choose or test on.
    """
    if asked.task is None and asked.data is None:
        raise SoftPromptError("neither a name nor data: give one, as {name: sst2}")
    task = known.of(asked)
    splits = task.splits(asked.seed)
    check_splits(task, splits)
    if not splits.test:
        raise SoftPromptError(f"task {task.name!r} has no labelled test rows to compare on: give data that have some")
    counts = Rows(len(splits.train), len(splits.validation), len(splits.test))
    notes = tuple(note.replace(OTHERWISE, _OTHERS) for note in splits.notes)
    return _Source(task.name, counts, notes, _text_of(task, splits))


def _text_of(task: Task, splits: Splits) -> str:
    hashes = [RowsHash.of(part).model_dump(mode="json") for part in (splits.train, splits.validation, splits.test)]
    return dumps([task.model_dump(mode="json"), hashes], indent=None, sorted_names=True)


def _chosen(entry: PlannedMethod) -> _Chosen:
    """A method with its options and its preset.

    Raises:
        SoftPromptError: no such method, option or preset, a value that an option cannot have, a preset of another, or
            a tracker whose package is missing.
    """
    preset = None if entry.preset is None else preset_of(entry.preset)
    if entry.name is None and preset is None:
        raise SoftPromptError("neither a name nor a preset: give one, as {name: capt}")
    if preset is not None and entry.name not in (None, preset.method):
        raise SoftPromptError(f"preset {preset.name} is of method {preset.method}: leave the name {entry.name} out")
    name = entry.name if preset is None else preset.method
    assert name is not None
    own, training = by_owner(entry.settings, METHODS.get(name))
    made, options = method(name, **own), training_options(training)
    check_trackers(options.report_to)
    known = [made.model_dump(mode="json"), options.model_dump(mode="json"), preset and preset.model_dump(mode="json")]
    text = dumps([name, *known, sorted(own), sorted(_counting(training))], indent=None, sorted_names=True)
    dtype = None if preset is None else preset.dtype
    label = method_label(name, entry.preset, _counting(entry.settings))
    return _Chosen(label, name, own, training, entry.preset, dtype, text, _unheard(made, options))


def _unheard(made: Method, options: TrainingOptions) -> str:
    """Why a run of a method refuses its options whatever the backbone; empty where it does not.

    It is no fault of the plan: a run that was done or begun stays as it is.
    """
    try:
        check_heard(made, [options.readout], options)
    except SoftPromptError as error:
        return str(error)
    return ""


def _counting(settings: _Settings) -> _Settings:
    """Settings without who looks on, which makes no other cell."""
    return {key: value for key, value in settings.items() if key.removeprefix(f"{TRAINING}.") not in _LOOKING_ON}


def by_owner(settings: Mapping[str, JsonValue], kind: type[Method]) -> tuple[_Settings, _Settings]:
    """The options of the method and those of training; a name that both have takes a prefix, as in `--set`.

    Raises:
        SoftPromptError: neither has it, or both have it.
    """
    fields = {METHOD: set(kind.model_fields), TRAINING: set(TrainingOptions.model_fields)}
    found: dict[str, _Settings] = {METHOD: {}, TRAINING: {}}
    for key, value in settings.items():
        owner, _, name = key.rpartition(".")
        owners = [one for one, names in fields.items() if name in names and owner in ("", one)]
        if len(owners) > 1:
            raise SoftPromptError(
                f"set {key}: the method and the training both have it: write method.{key} or training.{key}"
            )
        if not owners:
            meant = did_you_mean(name, sorted(set().union(*fields.values())))
            there = ", ".join(sorted(fields[METHOD])) or "none"
            raise SoftPromptError(
                f"set {key}: no such option; {meant}{kind.name} has {there}; training has "
                f"{', '.join(sorted(fields[TRAINING]))}"
            )
        found[owners[0]][name] = value
    return found[METHOD], found[TRAINING]
