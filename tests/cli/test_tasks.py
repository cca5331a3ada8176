"""`softprompt tasks`: the catalog, and one task's templates."""

from __future__ import annotations

import json
from typing import Any

from ..shared.commands import narrow


def test_tasks(ask: Any) -> None:
    for words in (["tasks"], ["tasks", "rte"]):
        code, printed, _ = ask(*words)
        assert code == 0
        assert narrow(printed)
    code, printed, _ = ask("tasks", "--json")
    assert {"boolq", "cb", "copa", "multirc", "record", "rte", "wic", "wsc"} <= {t["name"] for t in json.loads(printed)}


def test_a_task_is_shown_with_its_patterns(ask: Any) -> None:
    """What --template chooses from; a run's own record has none of them."""
    code, printed, _ = ask("tasks", "rte")
    assert code == 0
    assert "\npatterns:\n  p-tuning:\n" in printed
    code, printed, _ = ask("tasks", "rte", "--json")
    assert json.loads(printed)["patterns"]["gpt3"]["labels"] == {"entailment": "True", "not_entailment": "False"}
    assert "patterns" not in json.loads(ask("tasks", "conll2003", "--json")[1])
