"""The page of a run: with the folder alone, with the model, and beside another run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.explain.report.page import report
from softprompt.methods import method
from softprompt.training.run import Run

from ...shared.pages import Read
from ...shared.run_folders import cell, hits
from ...shared.runs import run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("capt"), "llama", method("capt"), max_steps=4)


def captions(page: Path) -> set[str]:
    """The titles of a page's figures."""
    text = page.read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!#|data:)', text)
    assert len(text.encode()) < 1_500_000
    Read(text)
    return set(re.findall(r"<figure [^>]*><h\d>(.*?)</h\d>", text))


def test_a_folder_tells_its_answers_without_a_model(made: Run) -> None:
    page = report(made.folder)
    assert page == made.folder / "report.html"
    assert {"Loss", "Labels and answers", "Right answers by label", "Norms of the vectors"} <= captions(page)
    told = page.read_text(encoding="utf-8")
    assert "those which were recorded, without probabilities" in told


def test_a_loaded_prompt_answers_again(made: Run, tmp_path: Path) -> None:
    page = report(made.folder, tmp_path / "page.html", prompt=made.prompt, effects=True)
    found = captions(page)
    assert any(one.startswith("Calibration, error") for one in found)
    assert {"Loss without each layer", "accuracy without each layer", "Prompts of the rows before layer 0"} <= found
    assert "4 of 4 answers are those that were recorded." in page.read_text(encoding="utf-8")


def test_what_asks_the_prompt_is_told_where_it_is_not_loaded(made: Run, tmp_path: Path) -> None:
    assert made.prompt.task is not None
    page = report(made.folder, tmp_path / "page.html", rows=made.prompt.task.rows_of(["w20"]), effects=True)
    told = page.read_text(encoding="utf-8")
    assert "The rows that were given are not answered: the prompt is not loaded." in told
    assert "is not measured: the prompt is not loaded" in told
    with pytest.raises(SoftPromptError, match="no row is answered"):
        report(cell(tmp_path / "other"), tmp_path / "page.html", prompt=made.prompt, why=1)


def test_words_stand_beside_tokens_of_the_input(tmp_path: Path) -> None:
    own = run(tmp_path, "llama", method("prompt_tuning", num_virtual_tokens=2), max_steps=1)
    (tmp_path / "data" / "rows.jsonl").unlink()
    page = report(own.folder, prompt=own.prompt, effects=True)
    assert {"Nearest words", "Against chance", "Norms"} <= captions(page)
    told = page.read_text(encoding="utf-8")
    assert "where nothing is now" in told
    assert "no validation rows are there" in told


def test_another_run_stands_beside_it(tmp_path: Path) -> None:
    task = {"task_definition": {"name": "words", "template": "{text} {mask}", "labels": {"0": "bad", "1": "good"}}}
    one, other = (cell(tmp_path / name, name, 13, hits(name, 13), identity=task) for name in ("capt", "lora"))
    page = report(one, tmp_path / "page.html", against=other)
    assert "Right and wrong in both" in captions(page)
    assert "McNemar" in page.read_text(encoding="utf-8")
