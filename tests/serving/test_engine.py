"""Mixed batches: every row is answered as it is alone, whatever else stands in the batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import SoftPromptError
from softprompt.inference.predict import Answer
from softprompt.serving.engine import Engine

from ..shared.served import MIXED, TEXTS, alone, backbone, put_mixed

FAMILIES = ("llama", "gpt2", "gemma3", "qwen3", "bert", "t5")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Mixed prompts of several families."""
    found = {}
    for family in FAMILIES:
        found[family] = tmp_path_factory.mktemp(family) / "prompts"
        put_mixed(found[family], family)
    return found


@contextmanager
def serving(root: Path, family: str, **options: Any) -> Iterator[Engine]:
    with Engine(backbone(family), root, **options) as engine:
        engine.look()
        yield engine


def agree(found: Answer | SoftPromptError, expected: Answer) -> None:
    assert isinstance(found, Answer), found
    assert found.label == expected.label
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_mixed_batch_answers_each_row_as_alone(family: str, folders: dict[str, Path]) -> None:
    expected = {name: alone(folders[family], name, family, TEXTS) for name in MIXED}
    with serving(folders[family], family) as engine:
        questions = [one for text in TEXTS for name in MIXED for one in engine.ask(name, [text])]
        for question, answer in zip(questions, engine.answer(questions), strict=True):
            agree(answer, expected[question.task][TEXTS.index(question.row.fields["text"])])
        engine.forget(questions)
    assert len({round(max(one.probabilities.values()), 4) for each in expected.values() for one in each}) > len(MIXED)
