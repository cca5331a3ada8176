"""What a run says of its splits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import softprompt as sp
from softprompt.progress import Progress

from ..shared.prompts import METHODS
from ..shared.runs import run


class Heard(Progress):
    """What was worked at."""

    def __init__(self) -> None:
        super().__init__(shown=False)
        self.names: list[str] = []

    @contextmanager
    def work(self, name: str, total: int, unit: str) -> Iterator[Callable[..., None]]:
        self.names.append(name)
        with super().work(name, total, unit) as tick:
            yield tick


@pytest.mark.parametrize(
    ("method", "family", "again"),
    [
        ("capt", "llama", False),
        ("capt_learned", "bert", False),
        ("head_only", "bert", False),
        ("soft_words", "t5", False),
        ("lora", "bert", False),
        ("xprompt", "llama", True),  # which ends with a state that it goes back to
        ("hard_prompt", "llama", True),
    ],
)
def test_the_validation_is_what_the_stored_prompt_scores(method: str, family: str, again: bool, tmp_path: Path) -> None:
    """A run that ends with a fit answers its validation rows no second time; the prompt scores them the same."""
    heard = Heard()
    done = run(tmp_path, family, METHODS[method], max_steps=6, evaluations=3, progress=heard)
    assert ("validation" in heard.names) == again
    assert "test" in heard.names
    told, task = done.metrics["validation"], done.prompt.task
    assert task is not None
    scores = sp.evaluate(done.prompt, task.splits(3).validation)
    assert told["loss"] == pytest.approx(scores["loss"], rel=1e-4)
    for name in ("accuracy", "rows"):
        assert told[name] == scores[name]
    assert [*told["interval"]] == pytest.approx(scores["interval"])
    assert told["seen_rows"] == 0
