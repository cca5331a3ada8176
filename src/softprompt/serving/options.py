"""What a server takes on, and how it shares the model among those who ask."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ServingOptions(BaseModel):
    """Limits and times. Our choices, which hold a small model on a few cores; a request beyond a limit is refused.

    Attributes:
        batch_tokens: columns of one pass, what is padded among them.
        wait: seconds that the first row of a batch waits for others while the model has nothing to do.
        queue_rows: rows that may wait; with more, requests are answered 429.
        writing_rows: texts that are written at a time.
        writing_tokens: columns that these may take together until they have ended.
        body_bytes: of a request.
        body_seconds: in which it must be there.
        depth: lists and objects inside each other in a request.
        request_rows: texts of a request, times the models that it names.
        request_models: models that it names.
        characters: of one text.
        new_tokens: of one text that is written.
        every: seconds between two looks at the folder.
        drain: seconds that a server that is told to stop gives to what it has accepted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    batch_tokens: int = Field(8192, ge=1)
    wait: float = Field(0.004, ge=0)
    queue_rows: int = Field(1024, ge=1)
    writing_rows: int = Field(64, ge=1)
    writing_tokens: int = Field(65536, ge=1)
    body_bytes: int = Field(1 << 20, ge=1)
    body_seconds: float = Field(30, gt=0)
    depth: int = Field(16, ge=1)
    request_rows: int = Field(256, ge=1)
    request_models: int = Field(32, ge=1)
    characters: int = Field(100_000, ge=1)
    new_tokens: int = Field(1024, ge=1)
    every: float = Field(2.0, gt=0)
    drain: float = Field(30, gt=0)
