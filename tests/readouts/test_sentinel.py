"""Answers behind T5's first sentinel: in every target, in no answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from softprompt.attached.attach import attach
from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError
from softprompt.methods import method as method_of
from softprompt.readouts import Readout, ReadoutSpec, build_readout
from softprompt.sites.producer import Producer
from softprompt.storage.prompt import load
from softprompt.tasks import Row, Task
from softprompt.training.run import train

from ..shared.models import model, tokenizer
from ..shared.runs import task as words_task

SENTINEL = 99
SPEC = ReadoutSpec(name="text", loss="auto", pooling="auto", max_length=64, max_new_tokens=32, sentinel_targets=True)


def made(task: Task, words: Any, family: str = "t5", **changed: Any) -> Readout:
    return build_readout(task, Backbone(model(family), words), Producer(), SPEC.model_copy(update=changed))


def t5_tokenizer(*, special: bool = True) -> PreTrainedTokenizerFast:
    words = tokenizer().get_vocab()
    vocabulary = {word: index for word, index in words.items() if index != SENTINEL} | {"<extra_id_0>": SENTINEL}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    extra = {"extra_special_tokens": ["<extra_id_0>"]} if special else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="[PAD]", eos_token="[SEP]", unk_token="[UNK]", **extra
    )


def test_every_answer_is_scored_behind_the_sentinel() -> None:
    task = Task(template="{text} {mask}", labels=["w10", "w11"])
    row = Row({"text": "w20 w41"}, 1)
    words = t5_tokenizer()
    plain = made(task, words, sentinel_targets=False).encode(row)
    led = made(task, words).encode(row)
    assert [(SENTINEL, *ids) for ids in plain.targets] == list(led.targets)
    assert plain.texts == led.texts
    readout = made(task, words)
    with attach(model("t5"), words, method_of("hard_prompt")) as prompted, torch.no_grad():
        found = readout.answer(prompted, readout.collate([led]))[0]
        text = torch.tensor([led.texts[0].ids])
        logs = [
            prompted(input_ids=text, decoder_input_ids=torch.tensor([[0, *ids[:-1]]])).logits[0].log_softmax(-1)
            for ids in led.targets
        ]
        scores = torch.stack(
            [sum(log[p, t] for p, t in enumerate(ids)) for log, ids in zip(logs, led.targets, strict=True)]  # type: ignore[misc]
        )
    assert found.probabilities == pytest.approx(scores.softmax(-1).tolist(), abs=1e-4)


@pytest.mark.parametrize("special", [True, False])
def test_free_text_is_told_without_it(special: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(kind="generation", template="{text} {mask}")
    words = t5_tokenizer(special=special)
    readout = made(task, words, max_new_tokens=3)
    item = readout.encode(Row({"text": "w20 w41"}, "w50 w51", answers=("w50 w51",)))
    assert item.targets[0][0] == SENTINEL
    assert len(item.targets[0]) == 4
    with attach(model("t5"), words, method_of("hard_prompt")) as prompted, torch.no_grad():
        asked: dict[str, Any] = {}

        def generate(**given: Any) -> torch.Tensor:
            asked.update(given)
            return torch.tensor([[0, SENTINEL, 50, 51, 2]])

        monkeypatch.setattr(prompted, "generate", generate)
        found = readout.answer(prompted, readout.collate([item]))[0]
    assert found.prediction.replace("[PAD]", "").strip() == "w50 w51"  # type: ignore[union-attr]
    assert asked["max_new_tokens"] == 4


def test_a_prompt_remembers_it(tmp_path: Path) -> None:
    words = t5_tokenizer()
    run = train(
        model("t5"), words, words_task(tmp_path / "data"), "prompt_tuning", output=tmp_path / "run", seed=3,
        progress=False, max_steps=2, sentinel_targets=True,
    )  # fmt: skip
    again = load(tmp_path / "run" / "prompt", model("t5"), words)
    assert again.readout_spec == run.prompt.readout_spec == SPEC.model_copy(update={"max_length": 256})
    assert again.readout is not None
    assert all(ids[0] == SENTINEL for ids in again.readout.encode(Row({"text": "w20"}, 0)).targets)
    assert run.predict(["w20"]) == again.predict(["w20"])


def test_it_is_refused_where_there_is_nothing_to_put_it_before() -> None:
    task = Task(template="{text} {mask}", labels=["w10", "w11"])
    with pytest.raises(SoftPromptError, match="encoder-decoders"):
        made(task, t5_tokenizer(), "gemma3")
    with pytest.raises(SoftPromptError, match="encoder-decoders"):
        made(task, t5_tokenizer(), name="head")
    with pytest.raises(SoftPromptError, match="<extra_id_0>"):
        made(task, tokenizer())
