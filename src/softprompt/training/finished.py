"""What `metrics.json` holds of a finished run, checked when it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, JsonValue, ValidationError, field_validator
from pydantic_core.core_schema import ValidationInfo

from softprompt.errors import SoftPromptError
from softprompt.files import strict_json
from softprompt.files.documents import LONG, read_document
from softprompt.files.manifest import prove
from softprompt.files.written import check_whole
from softprompt.storage.record import Measured, Strict, fault

_MEND = "restore the file, or train again in another folder"


class RunMetrics(Strict):
    """The fields that every run has; what a course reports stands beside them.

    Attributes: see `docs/files.md`.
    """

    model_config = ConfigDict(extra="allow")

    task: str
    method: str
    backbone: str
    seed: int
    metric: str
    test: Measured
    validation: Measured
    trained_parameters: int = Field(ge=0)
    trained_head_parameters: int = Field(ge=0)
    stored_parameters: int = Field(ge=0)
    stored_bytes: int = Field(ge=0)
    train_seconds: float = Field(ge=0)
    rows_per_second: float | None
    peak_memory_bytes: int = Field(ge=0)
    versions: dict[str, str]
    dtype: str | None = None
    protocol: str
    readout: dict[str, JsonValue]
    options: dict[str, dict[str, JsonValue]]
    history: list[dict[str, JsonValue]]
    kept_layers: list[int] | None = None
    sha256: str | None = None

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


def read_metrics(path: Path) -> dict[str, Any]:
    """The document of a finished run, as it stands there.

    Raises:
        SoftPromptError: no such file, or a field is not what a run writes.
    """
    found = read_document(path, _MEND, longest=LONG)
    try:
        RunMetrics.model_validate_json(strict_json.dumps(found), strict=True)
    except ValidationError as error:
        raise SoftPromptError(f"{path}: {fault(error, found)}: {_MEND}") from None
    prove(found, path)
    return found


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
