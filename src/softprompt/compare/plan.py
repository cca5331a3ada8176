"""The plan of a table: methods x tasks x backbones x seeds x shots, from one YAML file or from options.

Here its keys are read, and every fault in them is told, a line each; what they name is looked for in
`softprompt.compare.planned`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    StrictInt,
    StrictStr,
    ValidationError,
)
from pydantic_core import ErrorDetails

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards.paths import path_of
from softprompt.guards.suggestions import nearest
from softprompt.guards.yaml_files import read_mapping

SEEDS = (13, 21, 42)  # as `select` has them
_ENDINGS = (".yaml", ".yml")


class PlanFaults(SoftPromptError):
    """Every fault of a plan.

    Attributes:
        lines: one a fault, each with the place, what is wrong and the mend.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        """See the class."""
        self.lines = tuple(lines)
        more = f" (and {len(self.lines) - 1} more faults)" if len(self.lines) > 1 else ""
        super().__init__(f"{self.lines[0]}{more}")


def _listed(given: object) -> object:
    """One thing stands for a list of one."""
    return given if isinstance(given, list | tuple) else (given,)


def _named(given: object) -> object:
    """A name stands for a mapping that holds it."""
    return {"name": given} if isinstance(given, str) else given


class _Keys(BaseModel):
    """Keys of a plan, and no others."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PlannedTask(_Keys):
    """A task: a name or a YAML file, with its data; or data alone that tell the task. Bad rows may be left out."""

    name: StrictStr | None = None
    data: StrictStr | None = None
    skip_bad: StrictBool = False


class PlannedMethod(_Keys):
    """A method with options, its own and those of training; or a paper's preset, which names it."""

    name: StrictStr | None = None
    settings: dict[str, JsonValue] = Field(default={}, alias="set")
    preset: StrictStr | None = None


class ComparePlan(_Keys):
    """A table that is to be made.

    Attributes:
        backbones: names, as `--backbone` takes them.
        tasks: with their data.
        methods: with options and presets.
        seeds: of the runs.
        shots: rows a class; None for all rows.
        max_test_rows: at most so many test rows.
    """

    backbones: Annotated[tuple[StrictStr, ...], BeforeValidator(_listed), Field(min_length=1)]
    tasks: Annotated[
        tuple[Annotated[PlannedTask, BeforeValidator(_named)], ...], BeforeValidator(_listed), Field(min_length=1)
    ]
    methods: Annotated[
        tuple[Annotated[PlannedMethod, BeforeValidator(_named)], ...], BeforeValidator(_listed), Field(min_length=1)
    ]
    seeds: Annotated[
        tuple[Annotated[StrictInt, Field(ge=0, lt=1 << 32)], ...], BeforeValidator(_listed), Field(min_length=1)
    ] = SEEDS
    shots: Annotated[
        tuple[Annotated[StrictInt, Field(ge=1)] | None, ...], BeforeValidator(_listed), Field(min_length=1)
    ] = (None,)
    max_test_rows: Annotated[StrictInt, Field(ge=1)] | None = None


def read_plan(given: str | Path) -> ComparePlan:
    """The plan of a YAML file; its relative paths are from the file's folder where they are there.

    Raises:
        PlanFaults: faults in its keys.
        SoftPromptError: no such file, or no YAML mapping in it.
    """
    path = path_of(given, "plan")
    values = read_mapping(path, str(path), "a plan", "methods: [capt]")
    return _from_folder(plan_of(values, str(path)), path.parent)


def plan_of(values: Mapping[str, object], where: str) -> ComparePlan:
    """A plan of its keys.

    Args:
        values: by key.
        where: they stand, for messages.

    Raises:
        PlanFaults: a line for each fault.
    """
    try:
        return ComparePlan.model_validate(values)
    except ValidationError as error:
        faults = [_fault(one) for one in error.errors(include_url=False, include_context=False)]
        raise PlanFaults(f"{where}: {line}" for line in dict.fromkeys(faults)) from None


def _fault(error: ErrorDetails) -> str:
    """One fault: the key, what is wrong there, and the mend."""
    *above, last = error["loc"]
    place, kind = _place(error["loc"]), error["type"]
    if kind == "extra_forbidden":
        keys = _keys_at(above)
        near = nearest(str(last), keys)
        return f"{place}: there is no such key: {f'did you mean {near!r}?' if near else f'give {_words(keys)}'}"
    if kind == "missing":
        return f"{place}: the key is missing: {_MENDS[str(last)]}"
    if kind == "too_short":
        return f"{place}: is empty: {_MENDS[str(last)]}"
    given = quoted(error["input"], 60)
    if kind == "string_type":
        return f"{place}: {given} is no text: put it in quotes"
    if kind == "bool_type":
        return f"{place}: {given} is neither true nor false: give one of them"
    if kind in ("int_type", "greater_than_equal", "less_than"):
        return f"{place}: {given} is no number that it can be: give a whole number{_bounds(place)}"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"{place}: {given} is no mapping: {_MENDS.get(str(above[0]) if above else '', 'write NAME: VALUE')}"
    return f"{place}: {error['msg']} (given: {given}): give another value"


_MENDS = {
    "backbones": "name at least one, as [embedded:minilm]",
    "tasks": "name at least one, as [sst2] or [{name: sst2, data: FOLDER}]",
    "methods": "name at least one, as [capt] or [{name: capt, set: {epochs: 3}}]",
    "seeds": "give at least one, as [13, 21, 42]",
    "shots": "give at least one, as [16], or leave it out for all rows",
}


def _bounds(place: str) -> str:
    return " from 0 to 4,294,967,295" if place.startswith("seeds") else ", 1 or more"


def _keys_at(above: Sequence[object]) -> list[str]:
    """The keys that a mapping of a plan may have."""
    own: dict[str, type[BaseModel]] = {"tasks": PlannedTask, "methods": PlannedMethod}
    model = own[str(above[0])] if above else ComparePlan
    return [one.alias or name for name, one in model.model_fields.items()]


def _words(keys: list[str]) -> str:
    return f"{', '.join(keys[:-1])} or {keys[-1]}"


def _place(loc: Iterable[object]) -> str:
    """As a user finds it: `methods[1].set`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def _from_folder(plan: ComparePlan, folder: Path) -> ComparePlan:
    """The plan with the paths that are there from its own folder on."""

    def found(given: str) -> str:
        try:
            bare = path_of(given, "path")
        except SoftPromptError:  # told where it is looked for, with its key
            return given
        return given if bare.is_absolute() or not (folder / bare).exists() else str((folder / bare).absolute())

    def file(given: str | None) -> str | None:
        return given if given is None or not given.endswith(_ENDINGS) else found(given)

    tasks = [
        one.model_copy(update={"name": file(one.name), "data": None if one.data is None else found(one.data)})
        for one in plan.tasks
    ]
    methods = [one.model_copy(update={"preset": file(one.preset)}) for one in plan.methods]
    own = {"backbones": tuple(map(found, plan.backbones)), "tasks": tuple(tasks), "methods": tuple(methods)}
    return plan.model_copy(update=own)
