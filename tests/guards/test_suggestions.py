"""A name that there is not finds the one that was meant, or none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.guards.suggestions import did_you_mean, nearest
from softprompt.methods.registry import methods
from softprompt.training.options import TrainingOptions

OPTIONS = [*TrainingOptions.model_fields, "num_virtual_tokens", "rank", "alpha"]


@pytest.mark.parametrize(
    ("called", "ours"),
    [
        ("lr", "learning_rate"),
        ("LR", "learning_rate"),
        ("bs", "batch_size"),
        ("per_device_train_batch_size", "batch_size"),
        ("num_epochs", "epochs"),
        ("num_train_epochs", "epochs"),
        ("prompt_length", "num_virtual_tokens"),
        ("n_tokens", "num_virtual_tokens"),
        ("max_len", "max_length"),
        ("max_seq_length", "max_length"),
        ("wd", "weight_decay"),
        ("lora_r", "rank"),
        ("gradient_accumulation_steps", "accumulate"),
        ("learning-rate", "learning_rate"),
        ("learing_rate", "learning_rate"),
        ("optim", "optimizer"),
    ],
)
def test_what_the_field_calls_it_finds_our_name(called: str, ours: str) -> None:
    assert nearest(called, OPTIONS) == ours


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("prompttuning", "prompt_tuning"),
        ("P-Tuning", "p_tuning"),
        ("prefix", "prefix_tuning"),
        ("full", "full_finetuning"),
    ],
)
def test_methods(typed: str, meant: str) -> None:
    assert nearest(typed, methods(installed=False)) == meant


def test_nothing_is_made_up() -> None:
    assert nearest("zork", OPTIONS) is None
    assert nearest("", OPTIONS) is None
    assert did_you_mean("zork", OPTIONS) == ""
    assert did_you_mean("lr", []) == ""
    assert did_you_mean("lr", OPTIONS) == "did you mean 'learning_rate'? "


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30), st.lists(st.text(min_size=1, max_size=10), max_size=5))
def test_a_suggestion_is_one_of_the_choices(typed: str, choices: list[str]) -> None:
    assert nearest(typed, choices) in (None, *choices)
