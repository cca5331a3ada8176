"""What all options have in common, those of methods, of training and of an adaptation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards.suggestions import did_you_mean

_MOST = 1e9  # products of options, such as rates of rates, stay far within float32


class Options(BaseModel):
    """Options: known names alone, and numbers that are finite and of a size to compute with."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    if not TYPE_CHECKING:  # types are those of the fields

        def __init__(self, *unnamed: object, **options: object) -> None:
            """Take options by their names.

            Raises:
                SoftPromptError: an unknown option, a value that is none of its own, or one without a name.
            """
            kind = type(self)
            name = getattr(kind, "name", None)
            owner = f"method {name!r}" if isinstance(name, str) else kind.__name__
            if unnamed:
                first = next(iter(kind.model_fields), "name")
                raise SoftPromptError(f"{owner}: give options by their names, as {first}={quoted(unnamed[0])}")
            try:
                super().__init__(**options)
            except ValidationError as error:
                raise SoftPromptError(first_fault(error, sorted(kind.model_fields), owner)) from None

    @field_validator("*", mode="after")
    @classmethod
    def _bearable(cls, value: object) -> object:
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and abs(number) > _MOST:
                raise ValueError(f"numbers go up to {_MOST:g}")
        return value


def first_fault(error: ValidationError, fields: Sequence[str], owner: str) -> str:
    """The first fault of options in one line.

    Args:
        error: of pydantic.
        fields: the names that there are.
        owner: of the options, for the message.
    """
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"{owner} has no option {name!r}: {did_you_mean(name, fields)}choose from {', '.join(fields)}"
    message = first["msg"].removeprefix("Value error, ")
    place, given = f"option {name!r} of {owner}" if name else owner, quoted(first["input"])
    return f"{place}: {message}" + ("" if given in message else f" (given: {given})")
