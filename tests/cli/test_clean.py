"""`softprompt doctor --clean` removes or puts back what killed processes left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_doctor_cleans_what_the_dead_left(ask: Any, tmp_path: Path) -> None:
    scrap = tmp_path / "runs" / "a" / "state" / ".softprompt-new-0123abcd"
    lost = tmp_path / "runs" / "a" / ".softprompt-old-0123abcd" / "prompt"
    for folder in (scrap, lost):
        folder.mkdir(parents=True)
        (folder / "one").write_text("12345")
    code, printed, _ = ask("doctor", "--clean", tmp_path / "runs")
    assert code == 0
    assert f"removed: {scrap} (5 bytes)" in printed
    assert f"put back: {tmp_path / 'runs' / 'a' / 'prompt'} (5 bytes)" in printed
    assert printed.splitlines()[-1] == "scraps of killed processes that were removed: 1, 5 bytes"
    assert (tmp_path / "runs" / "a" / "prompt" / "one").is_file()
    code, printed, _ = ask("doctor", "--clean", "--json", tmp_path / "runs")
    assert (code, json.loads(printed)) == (0, [])
    for words in (["--clean", tmp_path / "none"], [tmp_path]):
        code, _, err = ask("doctor", *words)
        assert (code, len(err.splitlines())) == (1, 1)
