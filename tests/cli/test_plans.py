"""A plan as it is typed: what options mean, and that any of them is a plan's keys or a line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.cli.plans import typed_keys, typed_method, typed_plan
from softprompt.compare.plan import plan_of
from softprompt.errors import SoftPromptError


def test_options_say_what_a_file_would() -> None:
    typed = typed_keys(
        {
            "backbones": ["tiny"],
            "tasks": ["sst2", "mr=DATA/mr", "=tickets.csv"],
            "methods": ["capt", "capt@capt-paper", "lora:rank=4,epochs=none"],
            "set": ["max_steps=3", "epochs=2"],
            "seeds": "13, 21",
            "shots": "16",
            "max_test_rows": 400,
        }
    )
    assert typed == {
        "backbones": ["tiny"],
        "tasks": [{"name": "sst2"}, {"name": "mr", "data": "DATA/mr"}, {"data": "tickets.csv"}],
        "methods": [
            {"name": "capt", "set": {"max_steps": "3", "epochs": "2"}},
            {"name": "capt", "preset": "capt-paper", "set": {"max_steps": "3", "epochs": "2"}},
            {"name": "lora", "set": {"max_steps": "3", "rank": "4", "epochs": None}},
        ],
        "seeds": [13, 21],
        "shots": [16],
        "max_test_rows": 400,
    }
    assert plan_of(typed, "").methods[2].settings == {"max_steps": "3", "rank": "4", "epochs": None}


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"methods": ["lora:rank"]}, "--method lora:rank: 'rank' has no '=': write name=value"),
        ({"methods": ["lora:"]}, "--method lora:: '' has no '='"),
        ({"methods": ["lora:rank=1,rank=2"]}, "rank is given twice: leave one of them out"),
        ({"set": ["rank"]}, "--set: 'rank' has no '='"),
        ({"seeds": "1,x"}, "--seeds '1,x': give whole numbers"),
        ({"shots": ","}, "--shots ',': give whole numbers with commas between, as 16,32"),
    ],
)
def test_what_cannot_be_read_is_one_line(given: dict[str, object], line: str) -> None:
    with pytest.raises(SoftPromptError, match=re.escape(line)):
        typed_keys(given)


def test_bad_rows_are_skipped_in_every_typed_task() -> None:
    typed = typed_keys({"tasks": ["sst2=a.tsv", "=b.csv"], "skip_bad": True})
    wanted = [{"name": "sst2", "data": "a.tsv", "skip_bad": True}, {"data": "b.csv", "skip_bad": True}]
    assert typed == {"tasks": wanted}


def test_a_file_or_options_and_not_both(tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError, match=r"--method: .*plan.yaml says what is compared: leave it out"):
        typed_plan(tmp_path / "plan.yaml", {"methods": ["capt"]})
    with pytest.raises(SoftPromptError, match="--max-test-rows: "):
        typed_plan(tmp_path / "plan.yaml", {"max_test_rows": 3})
    with pytest.raises(typer.BadParameter, match=r"no --backbone, --method: give it, or a plan's YAML file"):
        typed_plan(None, {"tasks": ["sst2"]})


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet="ab@:=,_1 é", max_size=16))
def test_any_method_is_an_entry_or_a_line(text: str) -> None:
    try:
        entry = typed_method(text)
    except SoftPromptError:  # one line, whatever it says
        return
    found = plan_of({"backbones": "b", "tasks": "t", "methods": [entry]}, "").methods[0]
    head = text.partition(":")[0]
    assert [found.name or "", found.preset or ""] == [*head.partition("@")[::2]]
