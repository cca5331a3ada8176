"""Options of a training are checked by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import softprompt as sp
from softprompt.errors import SoftPromptError
from softprompt.training.options import TrainingOptions, training_options

from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS
from ..shared.runs import run, task


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"epoch": 3}, "no option 'epoch'"),
        ({"batch_size": 0}, "batch_size"),
        ({"readout": "mask"}, "mask"),
    ],
)
def test_options_are_checked(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError, match=message):
        run(tmp_path, "t5", METHODS["capt"], **changes)


def test_options_are_given_as_a_value_or_by_their_names_or_both(tmp_path: Path) -> None:
    few = TrainingOptions(max_steps=1, evaluations=1)
    given = [(few,), (), (few,)]
    named = [{}, {"max_steps": 1, "evaluations": 1, "batch_size": 4}, {"batch_size": 4}]
    own, found = task(tmp_path / "data"), []
    for place, (options, names) in enumerate(zip(given, named, strict=True)):
        folder = tmp_path / str(place)
        sp.train(model("llama"), tokenizer(), own, "capt", *options, output=folder, seed=3, progress=False, **names)
        found.append(json.loads((folder / "run.json").read_text())["training_options"])
    assert found[1] == found[2] == {**found[0], "batch_size": 4}
    sp.train(
        sp.Backbone(model("llama"), tokenizer()), own, "capt", options=few, output=tmp_path / "named", progress=False
    )


@pytest.mark.parametrize(
    ("options", "named", "told"),
    [
        (TrainingOptions(epochs=2), {"epochs": 3}, "epochs stands in options and is given by its name, too: leave one"),
        ({"epochs": 2}, {}, "options is of type dict: give a TrainingOptions, or each option by its name"),
        (TrainingOptions(), {"lr": 3}, "training has no option 'lr': did you mean 'learning_rate'?"),
    ],
)
def test_options_that_say_two_things_are_one_line(options: Any, named: dict[str, Any], told: str) -> None:
    with pytest.raises(SoftPromptError) as error:
        training_options(named, options)
    assert told in str(error.value)
