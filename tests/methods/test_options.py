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


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: softprompt.PromptTuning(tokens=3), "method 'prompt_tuning' has no option 'tokens': choose from init,"),
        (lambda: softprompt.LoRA(r=8), "method 'lora' has no option 'r': did you mean 'rank'?"),
        (lambda: softprompt.PromptTuning(3), "method 'prompt_tuning': give options by their names, as num_virtual"),
        (
            lambda: softprompt.PromptTuning(num_virtual_tokens=0),
            "option 'num_virtual_tokens' of method 'prompt_tuning'",
        ),
        (lambda: softprompt.PromptTuning(init_text="Good or bad?"), "init_text has a part with init='text' alone"),
        (lambda: TrainingOptions(epoch=3), "TrainingOptions has no option 'epoch': did you mean 'epochs'?"),
    ],
)
def test_a_class_that_is_called_tells_its_fault_in_one_line(make: Any, told: str) -> None:
    with pytest.raises(SoftPromptError) as error:
        make()
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert softprompt.PromptTuning(init="text", init_text="Good or bad?").init_text


def test_a_text_whose_use_was_chosen_against_stays() -> None:
    """A search tries several starts, and the text is for one of them."""
    assert softprompt.PromptTuning(init="random_uniform", init_text="Good or bad?").init == "random_uniform"
