"""Runs of other options are other rows of a table, and what makes no difference is not told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from softprompt.compare.gathering import FinishedRun, gather
from softprompt.compare.settings import names_of

from ..shared.run_folders import cell


def runs(folder: Path, *identities: dict[str, Any], method: str = "prompt_tuning", **changes: Any) -> list[FinishedRun]:
    for place, identity in enumerate(identities):
        cell(folder / str(place), method, place, identity=identity, **changes)
    return gather([folder]).finished


def names(*columns: list[FinishedRun]) -> list[str]:
    found = names_of(columns)
    return [found[run.folder] for column in columns for run in column]


def test_one_way_of_training_has_the_name_of_its_method(tmp_path: Path) -> None:
    assert names(runs(tmp_path, {}, {})) == ["prompt_tuning"] * 2


def test_the_options_that_differ_are_told_where_they_are_no_defaults(tmp_path: Path) -> None:
    rate = {"training_options": {"learning_rate": 0.3, "weight_decay": 0.1}}
    length = {"method_options": {"num_virtual_tokens": 5}, "training_options": {"weight_decay": 0.1}}
    found = names(runs(tmp_path, rate, length, {"training_options": {"weight_decay": 0.1}}))
    assert found == ["prompt_tuning (learning_rate=0.3)", "prompt_tuning (num_virtual_tokens=5)", "prompt_tuning"]


def test_a_default_that_an_earlier_version_did_not_write_is_none_other(tmp_path: Path) -> None:
    written = {"training_options": {"accumulate": 1, "learning_rate": None}, "method_options": {}}
    assert names(runs(tmp_path, written, {})) == ["prompt_tuning"] * 2


def test_speed_is_no_setting(tmp_path: Path) -> None:
    fast = {"training_options": {"threads": 4, "eval_batch_size": 8, "gradient_checkpointing": True}}
    assert names(runs(tmp_path, fast, {})) == ["prompt_tuning"] * 2


def test_lengths_are_compared_by_what_they_came_to(tmp_path: Path) -> None:
    asked = {"training_options": {"max_length": 256}, "readout": {"max_length": 256}}
    chosen = {"readout": {"max_length": 256}}
    longer = {"readout": {"max_length": 512}}
    assert names(runs(tmp_path / "alike", asked, chosen)) == ["prompt_tuning"] * 2
    # A length that follows the rows is another with other rows; one that is asked for is an option.
    assert names(runs(tmp_path / "rows", chosen, longer)) == ["prompt_tuning"] * 2
    found = names(runs(tmp_path / "all", asked, chosen, longer))
    assert found == ["prompt_tuning (max_length=256)", "prompt_tuning", "prompt_tuning"]
    shorter = {"training_options": {"max_length": 128}, "readout": {"max_length": 128}}
    found = names(runs(tmp_path / "two", asked, shorter))
    assert found == ["prompt_tuning (max_length=256)", "prompt_tuning (max_length=128)"]
    lone = runs(tmp_path / "lone", asked, task="other")  # of a table that is not finished, say
    found = names(runs(tmp_path / "again", asked, shorter), lone)
    assert found[0] == found[2] == "prompt_tuning (max_length=256)"


def test_a_length_of_one_task_makes_no_other_method_of_another(tmp_path: Path) -> None:
    """RTE has longer rows with one seed than with another, SST-2 never: one method, so one row of the table."""
    short, long = ({"readout": {"max_length": length}} for length in (256, 512))
    assert (
        names(runs(tmp_path / "rte", short, long, task="rte"), runs(tmp_path / "sst2", short, short, task="sst2"))
        == ["prompt_tuning"] * 4
    )


def test_options_that_change_from_task_to_task_are_one_methods(tmp_path: Path) -> None:
    one = runs(tmp_path / "one", {"training_options": {"learning_rate": 0.3}}, task="one")
    two = runs(tmp_path / "two", {"training_options": {"learning_rate": 0.1}}, task="two")
    assert names(one, two) == ["prompt_tuning"] * 2


def test_a_method_that_is_not_installed_has_its_name(tmp_path: Path) -> None:
    options = {"method_options": {"rank": 4}}
    assert names(runs(tmp_path, options, {}, method="of_a_plugin")) == ["of_a_plugin (rank=4)", "of_a_plugin"]


def test_a_preset_and_company_are_settings(tmp_path: Path) -> None:
    own = runs(tmp_path / "a", {}, preset={"name": "spt", "run": "sst2", "changed": {}})
    alone = runs(tmp_path / "b", {})
    together = runs(tmp_path / "c", {"together_with": 2})
    assert names([*own, *alone, *together]) == [
        "prompt_tuning (preset=spt)",
        "prompt_tuning",
        "prompt_tuning (together_with=2)",
    ]


def test_a_preset_stands_for_its_options_and_what_was_changed_is_told(tmp_path: Path) -> None:
    lester = {"name": "lester", "run": "t5", "changed": {}}
    rate = {"training_options": {"learning_rate": 0.3, "optimizer": "adafactor"}}
    other = {"training_options": {"learning_rate": 0.1, "optimizer": "adafactor"}}
    own = runs(tmp_path / "own", rate, rate, preset=lester)
    usual = runs(tmp_path / "usual", {}, {})
    assert names([*own, *usual]) == ["prompt_tuning (preset=lester)"] * 2 + ["prompt_tuning"] * 2
    changed = runs(tmp_path / "changed", other, preset=lester)
    assert names([*own[:1], *changed, *usual[:1]]) == [
        "prompt_tuning (preset=lester, learning_rate=0.3)",
        "prompt_tuning (preset=lester, learning_rate=0.1)",
        "prompt_tuning",
    ]
    assert names(own) == ["prompt_tuning"] * 2
