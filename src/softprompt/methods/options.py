"""What all options have in common, those of methods, of training and of an adaptation."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, field_validator

_MOST = 1e9  # products of options, such as rates of rates, stay far within float32


class Options(BaseModel):
    """Options: known names alone, and numbers that are finite and of a size to compute with."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="after")
    @classmethod
    def _bearable(cls, value: object) -> object:
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and abs(number) > _MOST:
                raise ValueError(f"numbers go up to {_MOST:g}")
        return value
