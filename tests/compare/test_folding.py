"""Few rows are divided into folds, and many are not."""

from __future__ import annotations

from pathlib import Path

from softprompt.compare.folding import usual_folds

from ..shared.runs import task as words_task


def test_few_rows_have_folds(tmp_path: Path) -> None:
    few = words_task(tmp_path)
    assert usual_folds(few, 1) == 4
    many = few.with_data([{"text": f"w{place}", "label": str(place % 2)} for place in range(180)])
    assert usual_folds(many, 1) == 1
