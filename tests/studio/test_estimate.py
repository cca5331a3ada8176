"""How long a training takes is measured on the draft itself, and a draft that cannot be is told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from softprompt.studio.drafts import Draft
from softprompt.studio.estimate import Estimate, main, measured, words_for

from ..shared.models import model, tokenizer
from ..shared.studios import tickets


def test_steps_and_seconds_are_those_of_the_run(tmp_path: Path) -> None:
    model("bert").save_pretrained(tmp_path / "bert")
    tokenizer().save_pretrained(tmp_path / "bert")
    draft = Draft(tickets(tmp_path / "t.csv"), tmp_path / "run", str(tmp_path / "bert"), "prompt_tuning", epochs=3)
    found = measured(draft, time.monotonic())
    assert (found.method, found.steps) == ("prompt_tuning", 3 * 3)  # 48 rows in batches of 16
    assert found.seconds > 0
    assert not (tmp_path / "run").exists()


def test_a_draft_that_cannot_be_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draft = Draft(tickets(tmp_path / "t.csv"), tmp_path / "run", str(tmp_path / "no model"))
    monkeypatch.setattr("sys.argv", words_for(draft))
    main()
    found = Estimate.model_validate_json(capsys.readouterr().out.splitlines()[-1])
    assert "no model" in found.fault
    assert found.seconds == 0
