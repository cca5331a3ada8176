"""What `prompt.json` holds: one schema, checked when it is written and when it is read.

Nothing is mended on the way in: a field that nobody wrote, a value of another type, and a value that would be taken for
another one are refused in a line that names the file and the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, WithJsonSchema, field_validator

from softprompt.backbones.fingerprint import Fingerprint
from softprompt.backbones.tunable import Tunable
from softprompt.errors import SoftPromptError
from softprompt.files import strict_json
from softprompt.files.documents import plain, read_document
from softprompt.files.places import META, refuse_peft
from softprompt.methods.base import Method
from softprompt.methods.registry import METHODS
from softprompt.presets.definition import UsedPreset
from softprompt.readouts.spec import ReadoutSpec
from softprompt.tasks import Task
from softprompt.tasks.seen import Division

FORMAT = 1
PROMPT_MEND = "restore the file or save the prompt again"

Number = Annotated[int | float, WithJsonSchema({"type": "number"})]


class Strict(BaseModel):
    """Types as they are, no field besides these, and no number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Measured(Strict):
    """Metrics of some rows: those of the task by name, and these.

    Attributes:
        rows: how many.
        interval: the main metric's 95 % interval.
        loss: the mean loss, None where there is none.
        seen_rows: on how many of the rows the prompt was trained or chosen; None where that is not known.
        majority: in `prompt.json`, of a classification, the main metric of always answering the most frequent class;
            None in files of versions that did not write it.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Number | None]

    rows: int | None = Field(None, ge=0)
    interval: tuple[Number, Number] | None = None
    loss: Number | None = None
    seen_rows: int | None = Field(None, ge=0)
    majority: Number | None = None

    def value(self, metric: str) -> float | None:
        """A metric of the task."""
        return self.__pydantic_extra__.get(metric)

    def figures(self) -> dict[str, JsonValue]:
        """What was measured, as JSON: the task's metrics first."""
        own: dict[str, JsonValue] = self.model_dump(mode="json", exclude_unset=True)
        return {name: own[name] for name in (*self.__pydantic_extra__, *own)}


class Trigger(Strict):
    """AutoPrompt's words."""

    text: str
    ids: tuple[int, ...]
    template: str


class TriedTemplate(Strict):
    """One of the templates that a hard prompt was chosen from."""

    template: str
    calibration: tuple[Number, ...] | None
    validation: Measured


class CourseRecord(Strict):
    """What the library's own courses tell of a run, each some of it; see `softprompt.training.courses`."""

    trained_parameters: int | None = Field(None, ge=0)
    trained_head_parameters: int | None = Field(None, ge=0)
    kept_layers: tuple[int, ...] | None = None
    gates: tuple[Number, ...] | None = None
    pruned: dict[str, JsonValue] | None = None
    trigger: Trigger | None = None
    label_tokens: dict[str, tuple[str, ...]] | None = None
    calibration: dict[str, Number] | None = None
    template: str | None = None
    templates: tuple[TriedTemplate, ...] | None = None
    mixture_weights: tuple[Number, ...] | None = None
    effective_prompts: Number | None = None


class PromptRecord(CourseRecord):
    """`prompt.json`.

    Attributes:
        format: 1.
        method: its name.
        options: of the method.
        task: as `Task.model_dump` gives it, or None.
        readout: how answers are read, or None where there is no task.
        backbone: the fingerprint.
        backbone_name: what `load_backbone` was asked for.
        tokenizer: how it reads (`storage.reading`); None in prompts of earlier versions.
        seed: of the run.
        versions: of the libraries that it ran on.
        metrics: on the test rows.
        tunable: what was trained, as a share of the backbone's parameters; None in old prompts, and where no run was.
        moved: how far training moved what stands in the input at each virtual token, |p - p_0|; None as `tunable`, and
            where nothing of the prompt's own stands there.
        preset: that its run's settings come from; None where there was none.
        rows: how those that it was trained and chosen on were divided; their hashes are in `rows.safetensors`.
        report: all else that was told of the prompt, such as what a package's own course reports; whatever its names.
    """

    format: Literal[1]
    method: str
    options: dict[str, JsonValue]
    task: dict[str, JsonValue] | None
    readout: ReadoutSpec | None
    backbone: Fingerprint
    backbone_name: str | None = None
    tokenizer: str | None = None
    seed: int | None = None
    versions: dict[str, str] = {}
    metrics: Measured = Measured()
    tunable: Tunable | None = None
    moved: tuple[Number, ...] | None = None
    preset: UsedPreset | None = None
    rows: Division | None = None
    report: dict[str, JsonValue] = {}

    @field_validator("readout", mode="before")
    @classmethod
    def _none(cls, value: object) -> object:
        """A prompt without a task has an empty readout."""
        return None if value == {} else value

    @property
    def more(self) -> dict[str, JsonValue]:
        """What a prompt carries along: all that stands there besides what it is made of."""
        own = {"format", "method", "options", "task", "readout", "backbone", "rows", "report"}
        return {**self.model_dump(mode="json", exclude=own, exclude_unset=True), **carried(self.report)}


# The fields of `prompt.json` that a prompt carries along, whatever it is made of.
_CARRIED = {"backbone_name", "tokenizer", "seed", "versions", "metrics", "tunable", "moved", "preset"}
_CARRIED |= CourseRecord.model_fields.keys()


@dataclass(frozen=True)
class Description:
    """What `prompt.json` says, with the method and the task that it names."""

    record: PromptRecord
    method: Method
    task: Task | None


def read_description(folder: Path) -> Description:
    """Read a folder's `prompt.json`; neither a tensor nor a backbone is touched.

    Raises:
        SoftPromptError: it is not there (but a checkpoint of PEFT), no JSON, of another format, or a field is not what
            was written.
    """
    refuse_peft(folder)
    path = folder / META
    record = checked_record(read_document(path, PROMPT_MEND), path)
    return Description(record, _method(record, path), None if record.task is None else _task(record.task, path))


def recorded(values: Mapping[str, object], more: Mapping[str, object]) -> PromptRecord:
    """The record of a prompt that is to be written.

    Args:
        values: of the fields that describe it.
        more: what it carries along (`carried`); what no field is there for goes into `report`.

    Raises:
        SoftPromptError: a value that no JSON can hold, or of another type than its field's.
    """
    known = {key: value for key, value in more.items() if key in _CARRIED}
    given = more.get("report", {})
    report = {key: value for key, value in more.items() if key not in known and key != "report"}
    report |= given if isinstance(given, Mapping) else {"report": given}
    return checked_record({"format": FORMAT, **values, **known, **({"report": report} if report else {})}, META)


def carried(report: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What a course reports, as a prompt carries it along.

    What stands under a name that `prompt.json` has for itself, or for something else, goes under `report`.
    """
    taken = [key for key, value in report.items() if key in PromptRecord.model_fields and not _of_course(key, value)]
    own = {key: value for key, value in report.items() if key not in taken}
    return {**own, "report": {key: report[key] for key in taken}} if taken else own


def _of_course(key: str, value: object) -> bool:
    """Whether a field is for courses, and for such a value."""
    try:
        CourseRecord.model_validate_json(strict_json.dumps({key: value}), strict=True)
    except (TypeError, ValueError):  # of another type, or none that JSON has a form for
        return False
    return key in CourseRecord.model_fields


def checked_record(values: Mapping[str, object], where: Path | str) -> PromptRecord:
    """Check values against the schema.

    Raises:
        SoftPromptError: names the field.
    """
    given = values.get("format")
    if type(given) is not int or given != FORMAT:
        mend = "update softprompt" if type(given) is int and given > FORMAT else PROMPT_MEND
        raise SoftPromptError(f"{where}: format: {plain(given)}, but this version reads format {FORMAT}: {mend}")
    try:
        return PromptRecord.model_validate_json(strict_json.dumps(values), strict=True)
    except ValidationError as error:
        cause = error.errors(include_url=False)[0].get("ctx", {}).get("error")
        # What a validator of ours raised ends in a mend of its own: a package's readout is missing or broken.
        joined = ", or" if isinstance(cause, SoftPromptError) else ":"
        raise SoftPromptError(f"{where}: {fault(error, values)}{joined} {PROMPT_MEND}") from None
    except (TypeError, ValueError) as error:  # a value of Python's that JSON has no form for
        raise SoftPromptError(f"{where}: {plain(error, quote=False)}: {PROMPT_MEND}") from None


def fault(error: ValidationError, values: object, root: str = "") -> str:
    """The first fault of a document: its field, and what is wrong there."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = _place(first["loc"], values)
    if first["type"] == "extra_forbidden":
        message = "there is no such field"
    elif first["type"] == "missing":
        place, message = (*place, str(first["loc"][-1])), f"no {first['loc'][-1]!r} in it"
    else:
        message = plain(first["msg"].removeprefix("Value error, "), quote=False)
    field = ".".join((*((root,) if root else ()), *place))
    return f"{field}: {message}" if field else message


def _place(loc: tuple[int | str, ...], values: object) -> tuple[str, ...]:
    """The keys that lead to a fault, as far as they stand in the document: pydantic adds names of types."""
    found: list[str] = []
    for part in loc:
        inside = dict(enumerate(values)) if isinstance(values, (list, tuple)) else values
        if not isinstance(inside, Mapping) or part not in inside:
            break
        values = inside[part]
        found.append(plain(part, quote=False))
    return tuple(found)


def _method(record: PromptRecord, path: Path) -> Method:
    if record.method not in METHODS:
        why = METHODS.why_not(record.method)
        missing = f"no method named {plain(record.method)}: install the package that brings it"
        raise SoftPromptError(f"{path}: method: {why or missing}, or {PROMPT_MEND}")
    try:
        made = METHODS.get(record.method).model_validate(record.options)
    except ValidationError as error:
        raise SoftPromptError(f"{path}: {fault(error, record.options, 'options')}: {PROMPT_MEND}") from None
    _check_same(record.options, made.model_dump(mode="json"), "options", path)
    return made


def _task(values: dict[str, JsonValue], path: Path) -> Task:
    try:
        made = Task(**values)
    # The shorthands of a task's definition take what they get for what it should be.
    except (SoftPromptError, TypeError, ValueError, AttributeError) as error:
        raise SoftPromptError(f"{path}: task: {plain(error, quote=False)}: {PROMPT_MEND}") from None
    _check_same(values, made.model_dump(mode="json"), "task", path)
    return made


def _check_same(given: object, read: object, field: str, path: Path) -> None:
    """A method or a task takes `"20"` for 20 from a command line, and from here nothing but what it wrote."""
    if isinstance(given, dict) and isinstance(read, dict):
        for key, value in given.items():
            _check_same(value, read.get(key), f"{field}.{plain(key, quote=False)}", path)
    elif isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        for place, (one, other) in enumerate(zip(given, read, strict=True)):
            _check_same(one, other, f"{field}.{place}", path)
    elif given != read or isinstance(given, bool) != isinstance(read, bool):
        raise SoftPromptError(f"{path}: {field}: {plain(given)} would be read as {plain(read)}: {PROMPT_MEND}")
