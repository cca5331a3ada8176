"""Options under names of their own are those of `--set`, and what is mistyped finds its name."""

from __future__ import annotations

import pytest

from softprompt.cli.settings import check_any, split_options, with_named
from softprompt.errors import SoftPromptError


def test_names_of_a_verbs_own_are_options_of_training() -> None:
    pairs = with_named(["epochs=3"], learning_rate=0.5, batch_size=None, max_length=64)
    assert pairs == ["epochs=3", "training.learning_rate=0.5", "training.max_length=64"]
    method, training = split_options([*pairs, "num_virtual_tokens=3"], "prompt_tuning")
    assert method.model_dump()["num_virtual_tokens"] == 3
    assert training.model_dump(exclude_unset=True) == {"epochs": 3, "learning_rate": 0.5, "max_length": 64}


@pytest.mark.parametrize("pair", ["learning_rate=1", "training.learning_rate=1"])
def test_both_ways_is_one_line(pair: str) -> None:
    with pytest.raises(SoftPromptError, match="--learning-rate and --set learning_rate both give it: leave one"):
        with_named([pair], learning_rate=0.5)


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        ("lr=1", "--set lr: no such option; did you mean 'learning_rate'?"),
        ("training.bs=1", "did you mean 'batch_size'?"),
        ("method.prompt_length=1", "did you mean 'num_virtual_tokens'?"),
        ("zork=1", "--set zork: no such option; prompt_tuning has"),
    ],
)
def test_a_mistyped_option(pair: str, told: str) -> None:
    with pytest.raises(SoftPromptError) as error:
        split_options([pair], "prompt_tuning")
    assert told in str(error.value)


@pytest.mark.parametrize("pairs", [["epochs=3", "epochs=4"], ["epochs=3", "training.epochs=3"]])
def test_an_option_that_is_given_twice(pairs: list[str]) -> None:
    with pytest.raises(SoftPromptError, match="--set (training.)?epochs: is given twice: leave one of them out"):
        split_options(pairs, "prompt_tuning")


def test_what_a_run_recorded_stands_where_the_pairs_say_nothing() -> None:
    method, training = split_options(
        ["num_virtual_tokens=3", "epochs=none"],
        "prompt_tuning",
        {"num_virtual_tokens": 9, "init": "random_uniform"},
        {"epochs": 7, "batch_size": 2},
    )
    assert (method.model_dump()["num_virtual_tokens"], method.model_dump()["init"]) == (3, "random_uniform")
    assert (training.epochs, training.batch_size) == (None, 2)


def test_an_option_that_no_method_has_is_refused_before_the_method_is_known() -> None:
    check_any(["num_virtual_tokens=3", "training.epochs=3", "method.rank=2"])
    for pair, told in (("lr=1", "did you mean 'learning_rate'?"), ("epochs", "has no '='")):
        with pytest.raises(SoftPromptError) as error:
            check_any([pair])
        assert told in str(error.value)
