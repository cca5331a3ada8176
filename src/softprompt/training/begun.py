"""With what a run was begun, so that `softprompt train --resume --out RUN` says all that there is to say.

What makes a run the one that it is stands in `run.json` already (`softprompt.training.identity`). Where its rows and
its backbone are on this machine stands beside it, under `begun`: a run is the same wherever they lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError
from softprompt.files.documents import read_document
from softprompt.files.places import RUN
from softprompt.methods.base import Method
from softprompt.methods.registry import checked
from softprompt.presets.definition import UsedPreset
from softprompt.readouts import ReadoutSpec
from softprompt.tasks import Task
from softprompt.tasks.data.held import Held
from softprompt.training.options import SHORT, Plan, TrainingOptions, planned

# Of the readout's options the values that leave it to the library, today's first: earlier versions wrote 256 for any.
_LEFT_OPEN: dict[str, tuple[object, ...]] = {"pooling": ("auto",), "max_length": (None, SHORT)}

# What versions that recorded no recipe took where it is another now, by method and family, or kind of backbone.
_BEFORE: Mapping[tuple[str, str], Mapping[str, object]] = {
    ("capt", "llama"): {"learning_rate": 7e-4, "optimizer": "adafactor"},
    ("capt", "qwen2"): {"learning_rate": 5e-3, "optimizer": "adafactor"},
    ("capt", "encoder"): {"learning_rate": 0.5},
    ("deep_prompt", "encoder"): {"learning_rate": 1.0},
    ("prompt_tuning", "encoder"): {"learning_rate": 0.03},
}


class Begun(BaseModel):
    """Where the rows and the backbone of a run are, and which of the rows are tested on.

    Attributes:
        data: a file or folder; None for the task's package or the hub.
        validation_data: a file of validation rows, or None.
        test_data: a file of test rows, or None.
        test_size: how much of one file is tested on; None for the usual part.
        max_test_rows: at most so many test rows; None for all.
        skip_bad: rows that cannot be used are left out.
        encoding: of text files; None where their bytes tell it.
        backbone: the file or folder of the backbone; None where its name is no path.
    """

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    data: str | None = None
    validation_data: str | None = None
    test_data: str | None = None
    test_size: float | None = None
    max_test_rows: int | None = None
    skip_bad: bool = False
    encoding: str | None = None
    backbone: str | None = None


class RunRecord(BaseModel):
    """What `run.json` tells whoever goes on with the run.

    Attributes:
        backbone: its name.
        dtype: of its weights.
        device: their type of device.
        seed: of the run.
        shots: rows a class.
        method: its name.
        method_options: all of them.
        training_options: all of them.
        task_definition: the task without its rows.
        patterns: those of it that the method's options name.
        preset: that its settings come from; None where there was none.
        begun: None in runs of versions that did not record it.
    """

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    backbone: str
    dtype: str
    device: str
    seed: int
    shots: int | None
    method: str
    method_options: dict[str, JsonValue]
    training_options: dict[str, JsonValue]
    task_definition: dict[str, JsonValue]
    patterns: dict[str, JsonValue] = {}
    preset: UsedPreset | None = None
    begun: Begun | None = None

    @classmethod
    def read(cls, folder: Path) -> RunRecord:
        """What the run of a folder recorded.

        Raises:
            SoftPromptError: there is none, it is damaged, or an earlier version recorded less.
        """
        path = folder / RUN
        values = read_document(path)
        lacking = [name for name, field in cls.model_fields.items() if field.is_required() and name not in values]
        if lacking:
            raise SoftPromptError(
                f"{path} records no {lacking[0]}: it is of an earlier version, or of another verb than train, and "
                "cannot go on here: choose another output"
            )
        found: RunRecord = checked(cls, values, str(path))
        return found

    def task(self, folder: Path) -> Task:
        """The task of the run of a folder, without its rows.

        Raises:
            SoftPromptError: what was recorded is damaged.
        """
        try:
            return Task(**self.task_definition, **({"patterns": self.patterns} if self.patterns else {}))
        # The shorthands of a task's definition take what they get for what it should be.
        except (SoftPromptError, TypeError, ValueError, AttributeError) as error:
            raise SoftPromptError(f"{folder / RUN}: task_definition: {error}: give --task") from None

    def places(self, folder: Path) -> dict[str, Any]:
        """Where the rows of the run of a folder are, as `Task.with_data` is told.

        Raises:
            SoftPromptError: it was not recorded.
        """
        if self.begun is None:
            raise SoftPromptError(
                f"{folder / RUN} records no data (it is of an earlier version, or its rows were in memory): give "
                "--data as the run was begun (--task for the hub's, a package's), and --max-test-rows if it had one"
            )
        return self.begun.model_dump(exclude={"backbone"})


def as_begun(spec: ReadoutSpec, options: TrainingOptions, folder: Path) -> ReadoutSpec:
    """The readout of a run that is gone on with: what the user leaves open is as its begin settled it.

    Versions settle it differently: a head of P-Tuning v2 used to read the mean of the text, and rows had 256 tokens.

    Args:
        spec: the readout of a new run.
        options: the user's.
        folder: of the run; a new one has no record yet.

    Raises:
        SoftPromptError: the record cannot be read.
    """
    path = folder / RUN
    record = read_document(path) if path.is_file() else {}
    then, asked = record.get("readout"), record.get("training_options")
    if not isinstance(then, dict) or not isinstance(asked, dict):
        return spec
    left = {
        name: then[name]
        for name, usual in _LEFT_OPEN.items()
        if getattr(options, name) == usual[0] and asked.get(name, usual[0]) in usual and name in then
    }
    try:
        return ReadoutSpec.model_validate({**spec.model_dump(), **left})
    except ValidationError:  # of a damaged record, whose difference is told where it is compared
        return spec


def plan_of(
    backbone: Backbone, method: Method, options: TrainingOptions, begun_in: Path | None, chosen_by: str | None = None
) -> Plan:
    """The rates and the schedule of a run; of one that is gone on with those with which it was begun.

    What a recipe says may change from version to version, and what the user says is compared elsewhere.

    Args:
        backbone: whose family and kind the recipe is for.
        method: of the prompt.
        options: the user's.
        begun_in: the folder of a run that is gone on with, if it is one; a new one has no record yet.
        chosen_by: where the options come from, as a preset; None for the user.

    Raises:
        SoftPromptError: the record cannot be read.
    """
    family, kind = backbone.anatomy.family, backbone.anatomy.kind
    plan = planned(options, method.recipe(family, kind), chosen_by)
    if begun_in is None or not (begun_in / RUN).is_file():
        return plan
    other = _BEFORE.get((method.name, family)) or _BEFORE.get((method.name, kind), {})
    before = {name: value for name, value in other.items() if getattr(options, name) is None}
    then = read_document(begun_in / RUN).get("recipe", before)
    try:
        return Plan.model_validate({**plan.model_dump(), **(then if isinstance(then, dict) else {})})
    except ValidationError:  # of a damaged record, whose difference is told where it is compared
        return plan


def begun_of(backbone: Backbone, task: Task) -> dict[str, JsonValue]:
    """What `run.json` holds beside the identity of a run; nothing where its rows are in memory alone."""
    source, place = task.source, Path(backbone.name).expanduser()
    found: dict[str, object] = {"backbone": str(place.absolute()) if place.exists() else None}
    if source is not None:
        for name, given in source.places().items():
            if isinstance(given, Held):  # in memory: nothing that a later process could read
                return {}
            found[name] = None if given is None else str(given.absolute())
        options = ("test_size", "max_test_rows", "skip_bad", "encoding")
        found |= {name: getattr(source, name) for name in options}
    return {"begun": Begun.model_validate(found).model_dump(mode="json")}
