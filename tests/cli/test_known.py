"""What is read off the files is what the classes say, and is read without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from softprompt.cli import known
from softprompt.methods.registry import methods
from softprompt.training.options import TrainingOptions

OWN = methods(installed=False)


def test_the_methods_are_those_that_are_registered() -> None:
    assert known.method_names() == {name for name, cls in OWN.items() if cls.__module__.startswith("softprompt.")}


@pytest.mark.parametrize("name", sorted(known.method_names()))
def test_the_options_are_those_of_the_classes(name: str) -> None:
    assert known.options_of(name) == {
        "method": set(OWN[name].model_fields),
        "training": set(TrainingOptions.model_fields),
    }
    assert set(OWN[name].model_fields) <= known.all_options()


def test_a_name_that_somebody_else_may_bring_is_not_refused() -> None:
    assert known.options_of("of_a_package") is None  # methods are registered in this process already


FAULTS = {
    "method": (["--method", "prompttuning"], "did you mean 'prompt_tuning'?"),
    "option": (["--method", "prompt_tuning", "--set", "lr=1"], "did you mean 'learning_rate'?"),
    "preset": (["--preset", "lestr"], "did you mean 'lester'?"),
    "preset's option": (["--preset", "lester", "--set", "lr=1"], "did you mean 'learning_rate'?"),
    "task": (["--method", "prompt_tuning", "--task", "sst-22"], "no task 'sst-22'"),
    "data": (["--method", "prompt_tuning", "--data", "/no/such"], "/no/such"),
}


def test_a_mistyped_name_is_refused_before_torch_is_imported() -> None:
    """All in one child process: its import of torch would be the slow part."""
    code = f"""
import sys
from softprompt.cli.main import main
for words, told in {list(FAULTS.values())!r}:
    sys.argv = ["softprompt", "train", "--backbone", "b", "--out", "never-made", *words]
    sys.argv += [] if "--task" in words else ["--task", "sst2"]
    try:
        main()
    except SystemExit as stop:
        assert stop.code == 1, stop.code
for words in (["predict", "no-such-run", "x"], ["evaluate", "no-such-run"], ["transfer", "no-such-run", "--task", "x"]):
    sys.argv = ["softprompt", *words]
    try:
        main()
    except SystemExit as stop:
        assert stop.code == 1, stop.code
assert not {{"torch", "transformers", "datasets"}} & sys.modules.keys()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == len(FAULTS) + 3
    assert all(line.startswith("error: ") for line in lines)
    for line, (_, told) in zip(lines, FAULTS.values(), strict=False):
        assert told in line
