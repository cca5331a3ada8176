"""`metrics.json`: one schema of what a finished run tells of itself, by which it is written and read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, PrivateAttr, ValidationError, ValidationInfo, field_serializer, field_validator

from softprompt.backbones.tunable import Tunable
from softprompt.errors import SoftPromptError
from softprompt.evaluation.breakdown import Breakdown
from softprompt.files import strict_json
from softprompt.files.documents import LONG, plain, read_document
from softprompt.files.manifest import SEAL, prove, sealed
from softprompt.files.whole import write_json
from softprompt.files.written import check_whole
from softprompt.guards.summaries import Summarised, Summary
from softprompt.presets.definition import UsedPreset
from softprompt.storage.record import Measured, Strict, fault
from softprompt.storage.summary import measured
from softprompt.training.divergence import NotFinite

SCHEMA: Literal[1] = 1  # see `training.schema`
_MEND = "restore the file, or train again in another folder"


class RunMetrics(Summarised, Strict):
    """What `metrics.json` holds.

    Attributes:
        schema_version: of the published schema that the file follows; None in files of versions that had none.
        task: its name.
        method: its name.
        backbone: its name.
        seed: of the run.
        dtype: of the backbone's weights; None in files of versions that did not write it.
        metric: the task's main metric.
        test: metrics of the test rows; empty where there are none.
        validation: metrics of the validation rows.
        trained_parameters: scalars that were trained, the readout's among them.
        trained_head_parameters: the readout's alone.
        tunable: the trained scalars as a share of the backbone's, with the readout's and without; None in files of
            versions that did not write it.
        stored_parameters: scalars in `prompt.safetensors`.
        stored_bytes: of `prompt.safetensors`.
        train_seconds: over all stages and interruptions.
        rows_per_second: training rows; None where no step was taken.
        peak_memory_bytes: since the run began.
        versions: of the libraries.
        protocol: how the rows were divided.
        readout: its options.
        options: of the method and of training, with what a recipe supplied.
        history: the evaluations and a search's turns, in their order.
        course: what the course reports of itself, under keys of its own; none of them is taken for one of these.
        breakdown: what stands behind the score of the test rows, or of the validation rows where there are none; None
            in files of versions that did not write it.
        preset: that its settings come from; None where there was none.
        diverged: of a run that diverged, what was not finite.
        sha256: the checksum of the rest, as it was read; None before the file is written.
    """

    schema_version: Literal[1] | None = None
    task: str
    method: str
    backbone: str
    seed: int
    dtype: str | None = None
    metric: str
    test: Measured
    validation: Measured
    trained_parameters: int = Field(ge=0)
    trained_head_parameters: int = Field(ge=0)
    tunable: Tunable | None = None
    stored_parameters: int = Field(ge=0)
    stored_bytes: int = Field(ge=0)
    train_seconds: float = Field(ge=0)
    rows_per_second: float | None
    peak_memory_bytes: int = Field(ge=0)
    versions: dict[str, str]
    protocol: str
    readout: dict[str, JsonValue]
    options: dict[str, dict[str, JsonValue]]
    history: list[dict[str, JsonValue]]
    course: dict[str, JsonValue] = Field(default_factory=dict)
    breakdown: Breakdown | None = None
    preset: UsedPreset | None = None
    diverged: NotFinite | None = None
    sha256: str | None = None
    _merged: bool = PrivateAttr(default=False)  # as version 0.1 wrote it: `course` stands beside the others alone

    @field_validator("test", "validation")
    @classmethod
    def _main(cls, found: Measured, info: ValidationInfo) -> Measured:
        """Rows that were measured have the main metric and its interval."""
        metric = info.data.get("metric")
        if found.model_fields_set and metric is not None:
            for name in (metric, "interval"):
                if name not in found.model_dump(exclude_unset=True):
                    raise ValueError(f"no {name!r} in it")
        return found

    @field_validator("course")
    @classmethod
    def _layers(cls, course: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Layers are what runs are compared by."""
        kept = course.get("kept_layers")
        if kept is not None and not (isinstance(kept, list) and all(type(layer) is int for layer in kept)):
            raise ValueError("kept_layers is no list of layers")
        return course

    @field_validator("diverged")
    @classmethod
    def _whole(cls, found: NotFinite | None) -> NotFinite | None:
        """A run's fault says what it had in use."""
        lacking = () if found is None else NotFinite.__annotations__.keys() - found.keys()
        if lacking:
            raise ValueError(f"no {min(lacking)!r} in it")
        return found

    @field_serializer("test", "validation")
    def _metrics_first(self, found: Measured) -> dict[str, JsonValue]:
        return found.figures()

    def summary(self) -> Summary:
        """What a notebook shows of a run."""
        facts = measured("test", self.metric, self.test.figures())
        facts += measured("validation", self.metric, self.validation.figures())
        trained = f"{self.trained_parameters:,} scalars in {self.train_seconds:.1f} s"
        facts.append(("trained", f"{trained}, stored {self.stored_bytes:,} bytes"))
        facts += [("tunable", self.tunable.sentence())] if self.tunable is not None else []
        facts.append(("backbone", self.backbone))
        if self.diverged is not None:
            facts.append(("diverged", "its best finite state is kept"))
        return Summary(f"Run: {self.method} for {self.task}, seed {self.seed}", facts)

    @property
    def kept_layers(self) -> list[int] | None:
        """The layers that a method over layers ended with; None of any other."""
        kept = self.course.get("kept_layers")
        return [layer for layer in kept if isinstance(layer, int)] if isinstance(kept, list) else None

    @classmethod
    def of(cls, values: Mapping[str, object], where: Path | str) -> RunMetrics:
        """Check values, those of a new run or those of a file.

        In files of version 0.1 what the course reports stands among the run's own fields; there it still stands too
        (`document`), for other readers.

        Args:
            values: by field.
            where: they come from or go to.

        Raises:
            SoftPromptError: names the field.
        """
        version = values.get("schema_version")
        if isinstance(version, int) and version > SCHEMA:
            newer = f"schema_version: {version}, but this version reads {SCHEMA}"
            raise SoftPromptError(f"{where}: {newer}: update softprompt")
        beside = {name: value for name, value in values.items() if name not in cls.model_fields}
        course = values.get("course", beside)
        told = course if isinstance(course, Mapping) else {}
        # What stands beside the run's own fields and is not what the course reports was written by nobody.
        own = {name: one for name, one in values.items() if name not in told or name not in beside or told[name] != one}
        try:
            made = cls.model_validate_json(strict_json.dumps({**own, "course": course}), strict=True)
        except ValidationError as error:
            raise SoftPromptError(f"{where}: {fault(error, values)}: {_MEND}") from None
        except (TypeError, ValueError) as error:  # a value of Python's that JSON has no form for
            raise SoftPromptError(f"{where}: {plain(error, quote=False)}: {_MEND}") from None
        made._merged = "course" not in values
        return made

    def document(self) -> dict[str, JsonValue]:
        """What `metrics.json` holds, as it was read or is to be written.

        What the course reports stands beside the run's own fields, too, where it had its place in version 0.1, but for
        names that these have; from version 0.3 on it stands under `course` alone.
        """
        own = self.model_dump(mode="json", exclude_unset=True, exclude={"course"} if self._merged else None)
        beside = {name: value for name, value in self.course.items() if name not in type(self).model_fields}
        last = {name: own.pop(name) for name in ("diverged", SEAL) if name in own}
        return {**own, **beside, **last}

    def write(self, path: Path) -> RunMetrics:
        """Write `metrics.json`; the metrics with their checksum."""
        document = sealed({name: value for name, value in self.document().items() if name != SEAL})
        write_json(path, document)
        return self.model_copy(update={SEAL: document[SEAL]})


def read_metrics(path: Path) -> RunMetrics:
    """The metrics of a finished run.

    Raises:
        SoftPromptError: no such file, or a field is not what a run writes.
    """
    found = read_document(path, _MEND, longest=LONG)
    metrics = RunMetrics.of(found, path)
    prove(found, path)
    return metrics


def damage(metrics: Path, prompt: Path) -> str | None:
    """What of a finished run is not as it was written, in a line; None where all is.

    Args:
        metrics: its `metrics.json`.
        prompt: the folder of its prompt.
    """
    try:
        read_metrics(metrics)
        check_whole(prompt)
    except SoftPromptError as error:
        return str(error)
    return None
