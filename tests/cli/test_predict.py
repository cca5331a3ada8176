"""`softprompt predict`: answers for texts and files, or one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_predict(ask: Any, trained: Path, tmp_path: Path) -> None:
    code, printed, _ = ask("predict", trained, "w20 w41", "--json")
    assert code == 0
    assert json.loads(printed)[0]["label"] in ("0", "1")
    (tmp_path / "rows.csv").write_text("sentence\nw20 w41\nw30 w50\n")
    code, printed, _ = ask("predict", trained, "--file", tmp_path / "rows.csv")
    assert code == 0
    assert len(printed.splitlines()) == 2


def test_an_unfinished_run_says_how_to_go_on(ask: Any, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes((trained / "run.json").read_bytes())
    code, _, err = ask("predict", tmp_path, "w20")
    assert code == 1
    assert "--resume" in err


def test_int8_is_left_out_in_one_line_where_nothing_gains_by_it(ask: Any, trained: Path, data: Path) -> None:
    code, printed, err = ask("predict", trained, "w20 w41", "--int8")
    assert code == 0
    assert printed == ask("predict", trained, "w20 w41")[1]
    assert "int8 is left out: " in err
    code, printed, err = ask("evaluate", trained, "--data", data, "--int8", "--json")
    assert code == 0
    assert "int8 is left out: " in err
    assert "int8" not in json.loads(printed)
