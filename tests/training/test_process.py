"""What belongs to the process is one training's alone."""

from __future__ import annotations

from softprompt.errors import SoftPromptError
from softprompt.training.process import alone

from ..attacks.threads import together


def test_two_trainings_in_one_process() -> None:
    refused: list[BaseException] = []

    def train() -> None:
        with alone():
            pass

    with alone(), alone():  # one thread may nest them
        assert together([train], refused) == 0
    assert [type(one) for one in refused] == [SoftPromptError]
    assert "another thread of this process is training" in str(refused[0])
    assert together([train], refused) == 0
    assert len(refused) == 1
