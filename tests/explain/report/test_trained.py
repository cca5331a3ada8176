"""What was trained: the rows' hashes, the lines that load the prompt, and the state that was kept."""

from __future__ import annotations

from pathlib import Path

from softprompt.explain.report.run_files import read_run_files
from softprompt.explain.report.trained import chosen_step, trained_section
from softprompt.pages.parts import Code, Facts, Figure

from ...shared.run_folders import cell, diverged

HISTORY = [
    {"step": 0, "train_loss": None, "accuracy": 0.5, "loss": 0.7},
    {"step": 5, "train_loss": 0.5, "accuracy": 0.8, "loss": 0.6},
    {"step": 10, "train_loss": 0.2, "accuracy": 0.8, "loss": 0.4},
    {"step": 15, "train_loss": 0.1, "accuracy": 0.75, "loss": 0.3},
    {"stage": "search", "turn": 1, "gates": [0.5]},
]


def test_the_kept_state_is_marked_by_the_rule_of_training(tmp_path: Path) -> None:
    files = read_run_files(cell(tmp_path / "run", history=HISTORY))
    assert chosen_step(files.metrics.history, "accuracy") == 10  # the highest metric, then the lowest loss
    loss, metric = (one for one in trained_section(files).parts if isinstance(one, Figure))
    assert loss.table.foot == ("kept state: training rows at 10, 0.2", "kept state: validation rows at 10, 0.4")
    assert metric.table.foot == ("kept state: validation rows at 10, 0.8",)
    assert len(loss.table.rows) == 3 + 4


def test_a_folder_says_what_it_lacks(tmp_path: Path) -> None:
    folder = cell(tmp_path / "run", predictions=False)
    (folder / "run.json").unlink()
    section = trained_section(read_run_files(folder))
    told = " ".join(one.text for one in section.parts if one.kind == "note")
    for name in ("run.json is missing", "predictions.json is missing", "the prompt:"):
        assert name in told
    facts = dict(next(one for one in section.parts if isinstance(one, Facts)).pairs)
    assert facts["rows"] == "not recorded (one file)"
    assert "1,234 scalars" in facts["trained"]
    code = next(one for one in section.parts if isinstance(one, Code))
    assert f'prompt = sp.load("{folder}", model, tokenizer)' in code.lines


def test_a_run_that_diverged_says_so_first(tmp_path: Path) -> None:
    section = trained_section(read_run_files(diverged(cell(tmp_path / "run"))))
    said = "This training diverged at step 3: the loss was nan for 5 steps running; the scores and the prompt"
    assert section.lines[0].startswith(said)
    assert section.lines[0].endswith("are of its best finite state, that of step 1.")
    assert trained_section(read_run_files(cell(tmp_path / "other"))).lines == ()
