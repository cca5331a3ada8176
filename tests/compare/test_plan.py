"""A plan's keys: each fault a line of its own, and whatever stands in a file, a plan or its faults come out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.compare.plan import SEEDS, ComparePlan, PlanFaults, plan_of, read_plan
from softprompt.compare.planned import planned
from softprompt.errors import SoftPromptError

LEAST = {"backbones": "tiny", "tasks": "sst2", "methods": "capt"}


def faults(**changes: Any) -> list[str]:
    with pytest.raises(PlanFaults) as raised:
        plan_of({**LEAST, **changes}, "plan.yaml")
    return list(raised.value.lines)


def test_one_thing_stands_for_a_list_and_a_name_for_a_mapping() -> None:
    plan = plan_of({**LEAST, "shots": 16, "seeds": 5}, "plan.yaml")
    assert (plan.backbones, plan.tasks[0].name, plan.methods[0].name) == (("tiny",), "sst2", "capt")
    assert (plan.seeds, plan.shots, plan_of(LEAST, "").seeds) == ((5,), (16,), SEEDS)
    written = {"name": "lora", "set": {"rank": 4}, "preset": "own.yaml"}
    entry = plan_of({**LEAST, "methods": [written]}, "plan.yaml").methods[0]
    assert (entry.name, entry.settings, entry.preset) == ("lora", {"rank": 4}, "own.yaml")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"seed": 1}, "plan.yaml: seed: there is no such key: did you mean 'seeds'?"),
        ({"zebra": 1}, "plan.yaml: zebra: there is no such key: give backbones, tasks, methods, seeds, shots or max_"),
        ({"methods": []}, "plan.yaml: methods: is empty: name at least one"),
        ({"methods": [{"nam": "capt"}]}, "plan.yaml: methods[0].nam: there is no such key: did you mean 'name'?"),
        ({"methods": [{"name": "capt", "sets": {}}]}, "plan.yaml: methods[0].sets: there is no such key: did you mean"),
        ({"methods": ["capt", 3]}, "plan.yaml: methods[1]: 3 is no mapping: name at least one, as [capt]"),
        ({"methods": [{"set": 3}]}, "plan.yaml: methods[0].set: 3 is no mapping"),
        ({"tasks": [{"name": 3}]}, "plan.yaml: tasks[0].name: 3 is no text: put it in quotes"),
        ({"backbones": [True]}, "plan.yaml: backbones[0]: True is no text: put it in quotes"),
        ({"seeds": ["x"]}, "plan.yaml: seeds[0]: 'x' is no number that it can be: give a whole number from 0 to"),
        ({"seeds": [-1]}, "plan.yaml: seeds[0]: -1 is no number that it can be"),
        ({"shots": [0]}, "plan.yaml: shots[0]: 0 is no number that it can be: give a whole number, 1 or more"),
        ({"max_test_rows": "all"}, "plan.yaml: max_test_rows: 'all' is no number that it can be"),
    ],
)
def test_a_fault_names_file_key_and_mend(changes: dict[str, Any], line: str) -> None:
    assert len(found := faults(**changes)) == 1
    assert found[0].startswith(line), found[0]


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(PlanFaults, match=r"backbones: the key is missing.* \(and 3 more faults\)") as raised:
        plan_of({"tasks": [], "seeds": [1, "x"], "shot": 1, "methods": "capt"}, "p")
    places = ["backbones", "tasks", "seeds[1]", "shot"]
    assert [line.split(": ")[1] for line in raised.value.lines] == places


def test_paths_are_from_the_files_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plans").mkdir()
    for name in ("rows.csv", "own.yaml", "tiny"):
        (tmp_path / "plans" / name).touch()
    written = {"backbones": ["tiny", "owner/model"], "tasks": [{"name": "own.yaml", "data": "rows.csv"}, "sst2"]}
    (tmp_path / "plans" / "plan.yaml").write_text(yaml.safe_dump({**LEAST, **written}))
    monkeypatch.chdir(tmp_path)
    plan, folder = read_plan("plans/plan.yaml"), tmp_path / "plans"
    assert plan.backbones == (str(folder / "tiny"), "owner/model")
    assert [(one.name, one.data) for one in plan.tasks] == [
        (str(folder / "own.yaml"), str(folder / "rows.csv")),
        ("sst2", None),
    ]


def test_a_home_that_nobody_has_is_no_file_beside_the_plan(tmp_path: Path) -> None:
    away = "~nobody-of-this-name/x"
    written = {"backbones": away, "tasks": {"data": away}, "methods": {"preset": f"{away}.yaml"}}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(written))
    plan = read_plan(tmp_path / "plan.yaml")
    assert (plan.backbones, plan.tasks[0].data, plan.methods[0].preset) == ((away,), away, f"{away}.yaml")
    with pytest.raises(PlanFaults) as raised:
        planned(plan, "plan.yaml", tmp_path / "out")
    assert [line.split(": ")[1] for line in raised.value.lines] == ["backbones[0]", "methods[0]", "tasks[0]"]
    assert all("whose home ~ means is not known" in line for line in raised.value.lines)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**33) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "set", "data", "x"]), inner),
    max_leaves=6,
)
KEYS = st.sampled_from([*ComparePlan.model_fields, "method", ""])


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_any_keys_are_a_plan_or_faults_in_one_line_each(values: dict[str, Any]) -> None:
    found = parsed(values)
    if isinstance(found, ComparePlan):
        assert found.backbones
        assert found.tasks
        assert found.methods
    else:
        assert found
        assert all(line.startswith("plan.yaml: ") and "\n" not in line for line in found), found


def parsed(values: dict[str, Any]) -> ComparePlan | tuple[str, ...]:
    try:
        return plan_of(values, "plan.yaml")
    except PlanFaults as error:
        return error.lines


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_a_plan_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(SoftPromptError):  # no text so short names all three keys
        read_plan(path)


def test_a_plan_may_be_json(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(json.dumps(LEAST))
    assert read_plan(tmp_path / "plan.yaml") == plan_of(LEAST, "")
