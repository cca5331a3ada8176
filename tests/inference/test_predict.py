"""Predictions leave the model as it was."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch

from softprompt.backbones.backbone import Backbone
from softprompt.inference.predict import in_words, predict
from softprompt.methods import PTuningV2
from softprompt.readouts import Outcome
from softprompt.readouts.build import build_readout
from softprompt.tasks import Row, Task
from softprompt.training.options import TrainingOptions
from softprompt.training.setup import readout_spec

from ..shared.models import model, modes, tokenizer
from ..shared.prompts import fails, tiny

TASK = Task(name="two", template="{sentence} {mask}", labels={"0": "w10", "1": "w11"}, fields=("sentence",))


SPEC = readout_spec(model("bert"), TASK, PTuningV2(), TrainingOptions())


ROWS = [Row(fields={"sentence": "w20 w21"}, label=0), Row(fields={"sentence": "w30"}, label=1)]


@pytest.mark.parametrize("stop", [None, ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("training", [True, False])
def test_predict_gives_the_model_back(training: bool, stop: type[BaseException] | None) -> None:
    method = PTuningV2(num_virtual_tokens=2, dropout=0.5)

    def tick(done: int) -> None:
        if stop is not None:
            raise stop

    with tiny("bert", method) as prompted:
        readout: Any = build_readout(TASK, Backbone(model("bert"), tokenizer()), prompted.prompts[0], SPEC)
        prompted.train(training)
        prompted.prompts[0].body.dropout.train(not training)  # a part of another mode than the whole
        readout.train(not training)
        before = modes(prompted, readout)
        with nullcontext() if stop is None else pytest.raises(stop):
            found = predict(prompted, readout, ROWS, batch_size=1, tick=tick)
            again = predict(prompted, readout, ROWS, batch_size=1)
            assert [one.probabilities for one in found] == [one.probabilities for one in again]  # no dropout fell
        assert modes(prompted, readout) == before
        assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("size", ["3", 0, 1.5, None])
def test_a_batch_size_that_is_none(size: Any) -> None:
    with tiny("bert", PTuningV2(num_virtual_tokens=2)) as prompted, fails("give a whole number of at least 1"):
        readout = build_readout(TASK, Backbone(model("bert"), tokenizer()), prompted.prompts[0], SPEC)
        predict(prompted, readout, ROWS, batch_size=size)


@pytest.mark.parametrize(("seq2seq", "word"), [(False, "good"), (True, "positive")])
def test_a_label_has_the_word_that_its_backbone_answers(seq2seq: bool, word: str) -> None:
    task = Task(
        template="{text} {mask}",
        labels={"0": "bad", "1": "good"},
        seq2seq_labels={"0": "negative", "1": "positive"},
    )
    (row,) = task.rows_of(["a text"])
    found = in_words(task, row, Outcome(1, (0.25, 0.75), None), seq2seq)
    assert (found.label, found.word, found.probability) == ("1", word, 0.75)
