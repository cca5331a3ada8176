"""What a user sets and no part of the run would hear is refused in one line; what has a part is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.files.places import METRICS
from softprompt.methods import method as method_of
from softprompt.training import specified
from softprompt.training.heard import check_heard
from softprompt.training.options import TrainingOptions

from ..shared.runs import run


@pytest.mark.parametrize(
    ("method", "family", "options", "told"),
    [
        ("head_only", "llama", {"learning_rate": 0.5}, "learning_rate: .*'head_only' .*: set head_learning_rate"),
        ("head_only", "llama", {"weight_decay": 0.5}, "weight_decay: .*'head_only' .*: choose another method"),
        ("prompt_tuning", "llama", {"head_learning_rate": 0.5}, "readout 'text' has no head to train"),
        ("prompt_tuning", "llama", {"pooling": "mean"}, "readout 'text' reads at the answer's place"),
        ("prompt_tuning", "llama", {"readout": "head", "loss": "vocabulary"}, "loss is always over its labels"),
    ],
)
def test_an_option_without_a_part_is_refused(
    tmp_path: Path, method: str, family: str, options: dict[str, object], told: str
) -> None:
    with pytest.raises(SoftPromptError, match=told) as fault:
        run(tmp_path, family, method, max_steps=1, **options)
    assert "\n" not in str(fault.value)
    assert str(fault.value).endswith("or leave it out")
    assert not list(tmp_path.rglob(METRICS))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("head_only", {"head_learning_rate": 0.5}),
        ("prompt_tuning", {"readout": "head", "pooling": "mean", "head_learning_rate": 0.5, "loss": "labels"}),
    ],
)
def test_an_option_with_a_part_is_taken(tmp_path: Path, method: str, options: dict[str, object]) -> None:
    assert run(tmp_path, "llama", method, max_steps=1, **options).metrics["test"]


def test_to_go_on_where_nothing_was_begun_is_to_begin(tmp_path: Path) -> None:
    """As tables, searches and `select` do, whose runs go on wherever they are."""
    with pytest.raises(SoftPromptError, match="pooling: readout 'text'"):
        run(tmp_path, "llama", "prompt_tuning", max_steps=1, pooling="mean", resume=True)
    assert not (tmp_path / "run").exists()


def test_a_run_that_was_begun_goes_on_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr(specified, "check_heard", lambda *_: None)  # as earlier versions
        run(tmp_path, "llama", "prompt_tuning", max_steps=1, pooling="mean")
    assert run(tmp_path, "llama", "prompt_tuning", max_steps=1, pooling="mean", resume=True).metrics["test"]


def test_of_several_readouts_one_that_hears_is_enough() -> None:
    method, options = method_of("p_tuning_v2"), TrainingOptions(head_learning_rate=0.5)
    for readouts in (["head"], ["text", "head"], ["head", "mask"], [None], ["text", None]):
        check_heard(method, readouts, options)
    with pytest.raises(SoftPromptError, match="head_learning_rate: readout 'mask' has no head"):
        check_heard(method, ["mask", "text"], options)
    with pytest.raises(SoftPromptError, match="learning_rate: method 'head_only' has no weights"):
        check_heard(method_of("head_only"), [None], TrainingOptions(learning_rate=0.5))
