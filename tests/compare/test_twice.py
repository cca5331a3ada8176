"""What stands twice in a plan is told once, with the two places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from softprompt.compare.plan import PlanFaults
from softprompt.compare.twice import same_cells

from ..shared.tables_of_runs import Bench


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"methods": ["capt", "lora", "capt"]}, "methods[2]: the same cells as methods[0], as words-capt-llama-1: "),
        ({"backbones": 2}, "backbones[1]: the same cells as backbones[0], as words-prompt_tuning"),
        ({"tasks": 2}, "tasks[1]: the same cells as tasks[0], as words-prompt_tuning"),
        ({"seeds": [1, 2, 1]}, "seeds[2]: 1 stands there before: leave one out"),
        ({"shots": [None, 4, None]}, "shots[2]: null stands there before: leave one out"),
    ],
)
def test_what_stands_twice_is_one_line_with_both_places(
    changes: dict[str, Any], line: str, own: Bench, tmp_path: Path
) -> None:
    given = {key: own.document[key] * value if isinstance(value, int) else value for key, value in changes.items()}
    with pytest.raises(PlanFaults) as raised:
        own.planned(tmp_path, **given)
    (told,) = raised.value.lines
    assert told.startswith(f"plan.yaml: {line}")


def test_cells_that_meet_by_two_keys_name_both() -> None:
    one, other = {"tasks": 0, "backbones": 0, "methods": 1}, {"tasks": 1, "backbones": 0, "methods": 0}
    (line,) = same_cells({"a-b-c": [one, other]})
    assert line.startswith("tasks[1] with methods[0]: the same cells as tasks[0] with methods[1], as a-b-c: ")
    assert same_cells({"a": [one], "b": [other]}) == []
