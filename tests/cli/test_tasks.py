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
