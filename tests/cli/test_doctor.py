"""`softprompt doctor`: what is installed, and whether it fits."""

from __future__ import annotations

import json
from typing import Any

from ..shared.commands import narrow


def test_doctor(ask: Any) -> None:
    code, printed, _ = ask("doctor")
    assert code == 0
    assert narrow(printed)
    code, printed, _ = ask("doctor", "--json")
    assert any(check["check"] == "versions" for check in json.loads(printed))
