"""What `metrics.json` of an adaptation holds, checked when it is read."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, JsonValue, ValidationError

from softprompt.errors import SoftPromptError
from softprompt.files import strict_json
from softprompt.files.documents import read_record
from softprompt.storage.record import Strict, fault

_MEND = "restore the file, or adapt again in another folder"


class AdaptPoint(Strict):
    """What was measured at a step: mean losses, None where there were no batches or no held-out chunks."""

    step: int = Field(ge=0)
    train_loss: float | None
    loss: float | None


class AdaptMetrics(Strict):
    """What `metrics.json` of an adaptation holds; see `docs/adapt.md`."""

    task: str
    backbone: str
    seed: int
    options: dict[str, JsonValue]
    train_seconds: float = Field(ge=0)
    chunks: int = Field(ge=0)
    held_out_chunks: int = Field(ge=0)
    peak_memory_bytes: int = Field(ge=0)
    versions: dict[str, str]
    history: list[AdaptPoint] = Field(min_length=1)
    sha256: str | None = None


def read_adapt_metrics(path: Path) -> dict[str, JsonValue]:
    """The metrics of a finished adaptation, as they stand there.

    Raises:
        SoftPromptError: no such file, it differs from what was written, or a field is not what an adaptation writes.
    """
    found = read_record(path, _MEND)
    try:
        AdaptMetrics.model_validate_json(strict_json.dumps(found), strict=True)
    except ValidationError as error:
        raise SoftPromptError(f"{path}: {fault(error, found)}: {_MEND}") from None
    return found
