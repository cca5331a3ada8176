"""Numbers that cannot be computed with are refused by every option that takes a number, in one line that names it."""

from __future__ import annotations

import importlib
import pkgutil
import typing
from typing import Any

import pytest
from pydantic import BaseModel

import softprompt
from softprompt.errors import SoftPromptError
from softprompt.methods.registry import checked, methods
from softprompt.training.adaptation.trainer import AdaptOptions
from softprompt.training.options import TrainingOptions

OWNERS = {**methods(), "training": TrainingOptions, "adapt": AdaptOptions}


def numbers(annotation: Any) -> Any:
    """A value of the option's form that holds a number, or None where it takes none."""
    if annotation is float:
        return lambda number: number
    for inner in typing.get_args(annotation):
        if made := numbers(inner):
            return (lambda number: (number,)) if typing.get_origin(annotation) is tuple else made
    return None


OPTIONS = [
    (owner, name, made)
    for owner, model in OWNERS.items()
    for name, field in model.model_fields.items()
    if (made := numbers(field.annotation))
]


def test_options_with_numbers_are_found() -> None:
    found = {(owner, name) for owner, name, _ in OPTIONS}
    assert {("training", "max_grad_norm"), ("xprompt", "token_rates"), ("adapt", "learning_rate")} <= found
    assert len(found) > 40


@pytest.mark.parametrize("bad", ["inf", "-inf", "nan", "1e400", "1e30", float("inf"), float("nan"), 1e300])
def test_numbers_that_are_none_are_refused(bad: Any) -> None:
    for owner, name, made in OPTIONS:
        with pytest.raises(SoftPromptError, match=name) as error:
            checked(OWNERS[owner], {name: made(bad)}, owner)
        assert "\n" not in str(error.value)


def test_every_schema_refuses_what_is_not_finite() -> None:
    for module in pkgutil.walk_packages(softprompt.__path__, "softprompt."):
        for one in vars(importlib.import_module(module.name)).values():
            if isinstance(one, type) and issubclass(one, BaseModel) and one.__module__.startswith("softprompt."):
                assert one.model_config.get("allow_inf_nan") is False, one
