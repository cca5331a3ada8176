"""Continuous batching: whoever joins or leaves, each text is what it is alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.serving.decoding import Decoder, can_decode
from softprompt.serving.engine import Engine
from softprompt.serving.writing import Wishes, Writing

from ..shared.served import GENERATION, MIXED, TEXTS, alone, backbone, put_mixed

FREE = {**GENERATION, "wishes": {"max_new_tokens": 9}}
FAMILIES = ("llama", "gpt2", "gemma3")
SCHEDULES = {
    "together": [(0, 1, 2, 3, 4, 5)],
    "late": [(0, 3), (), (5,), (1, 4), (), (), (), (2,)],
}


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    root = tmp_path_factory.mktemp(request.param) / "prompts"
    put_mixed(root, request.param, **FREE)
    return request.param, root


def run(decoder: Decoder, waves: list[list[Writing]]) -> None:
    """Let each wave join before a step, until all have ended."""
    for wave in [*waves, *[[]] * 20]:
        if wave:
            decoder.join(wave)
        decoder.leave([one for one in decoder.rows if one.ended])
        if decoder.rows:
            decoder.step()
            decoder.leave([one for one in decoder.rows if one.ended])


@pytest.mark.parametrize("schedule", list(SCHEDULES))
def test_texts_that_join_and_leave_are_those_written_alone(folder: tuple[str, Path], schedule: str) -> None:
    family, root = folder
    texts = [*TEXTS, *TEXTS][: len(MIXED)]
    with Engine(backbone(family), root) as engine:
        engine.look()
        assert can_decode(engine.shelf.prompted)
        made = [engine.begin(name, text, Wishes(0)) for name, text in zip(MIXED, texts, strict=True)]
        run(
            Decoder(engine.shelf.prompted, engine.filler),
            [[made[place] for place in wave] for wave in SCHEDULES[schedule]],
        )
        engine.forget(made)
    for one, name, text in zip(made, MIXED, texts, strict=True):
        assert one.ended in ("stop", "length")
        assert one.text == alone(root, name, family, [text])[0].label
    assert len({one.text for one in made}) > 2
