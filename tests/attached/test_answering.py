"""An attached model answers as its prompt predicts, encodes as it reads, and says what `generate` is worth."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

import softprompt as sp
from softprompt.errors import SoftPromptError
from softprompt.readouts import Readout
from softprompt.sites.modes import evaluating
from softprompt.tasks import Row

from ..shared.members import GENERATION, few, member
from ..shared.models import model, tokenizer

TEXTS = ["w20 w41 w42 w30", "w55 w61", "w30 w50 w51 w52 w53"]
SHORT = sp.PromptTuning(num_virtual_tokens=2)
# A readout of every kind, with a family that has it.
KINDS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "label words": ("llama", {}, {}),
    "words of several tokens": ("gpt2", {"labels": {"0": "w10 w11", "1": "w10"}}, {}),
    "a decoder's words": ("t5", {}, {}),
    "a mask": ("bert", {}, {}),
    "a head": ("llama", {}, {"readout": "head"}),
    "trained rows": ("llama", {}, {"readout": "rows"}),
    "free text": ("llama", GENERATION, {"max_new_tokens": 3}),
}


def prompt_of(folder: Path, kind: str) -> sp.Prompt:
    family, changes, wishes = KINDS[kind]
    return member(few(folder, **changes)[0], family, "prompt_tuning", seed=3, **wishes)


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_the_prompt(kind: str, tmp_path: Path) -> None:
    prompt = prompt_of(tmp_path, kind)
    expected = prompt.predict(TEXTS)
    others = {"bare": SHORT, "mine": prompt}
    with sp.attach(prompt.backbone, others) as prompted:  # one of several, and not the first
        prompted.train()
        assert prompted.answer(TEXTS, prompts="mine") == expected
        assert prompted.training  # every part is as it was
    with prompt.attach() as prompted:
        assert prompted.answer(TEXTS, batch_size=1) == expected
        assert prompted.answer(TEXTS[0]) == prompted.answer({"text": TEXTS[0]}) == expected[:1]
        assert prompted.answer(TEXTS, returns="words") == prompt.predict(TEXTS, returns="words")
        if kind != "free text":
            assert prompted.answer(TEXTS, returns="probabilities") == prompt.predict(TEXTS, returns="probabilities")


def test_choices_are_answered(tmp_path: Path) -> None:
    prompt = member(few(tmp_path)[0].model_copy(update={"kind": "choice", "labels": {}}), "llama", "prompt_tuning", 3)
    asked = [{"text": "w20 w41", "choices": ["w10", "w11 w12"]}, {"text": "w30", "choices": ["w13", "w14"]}]
    with prompt.attach() as prompted:
        assert prompted.answer(asked) == prompt.predict(asked)
        with pytest.raises(SoftPromptError, match="only_label_words cannot serve"):
            prompted.generate(**prompted.encode("w20", template=False), only_label_words=True)


def test_a_prompt_that_is_trained_on_answers_as_it_is_now(tmp_path: Path) -> None:
    prompt = prompt_of(tmp_path, "label words")
    with prompt.attach() as prompted, torch.no_grad():
        before = prompted.answer(TEXTS, returns="probabilities")
        for parameter in prompted.prompts.parameters():
            parameter.add_(1.0)
        assert prompted.answer(TEXTS, returns="probabilities") != before


def test_without_a_task_there_is_no_answer() -> None:
    with sp.attach(model("llama"), tokenizer(), SHORT) as prompted:
        for ask in (prompted.answer, prompted.pipeline, lambda _: prompted.encode("w9", template=True)):
            with pytest.raises(SoftPromptError, match="knows no task: attach a prompt that was trained on one"):
                ask("w9")
        with pytest.raises(SoftPromptError, match="knows no task"):
            prompted.generate(**prompted.encode("w9"), only_label_words=True)
        with pytest.raises(SoftPromptError, match="give texts, or a loaded prompt"):
            prompted.encode({"text": "w9"})
        assert prompted.encode(["w9 w8 w7", "w6"])["input_ids"].tolist() == [[9, 8, 7], [0, 0, 6]]


@pytest.mark.parametrize(
    ("family", "template"),
    [("llama", "{text} w77 {mask}"), ("llama", "w78 {prompt} {text} w77 {mask}"), ("bert", "w77 {text} {mask}")],
)
def test_a_text_is_encoded_as_the_prompt_reads_it(family: str, template: str, tmp_path: Path) -> None:
    prompt = member(few(tmp_path, template=template)[0], family, SHORT, seed=3, max_length=16)
    readout = prompt.readout
    assert isinstance(readout, Readout)
    texts = [*TEXTS, "w20 " * 40]
    with prompt.attach() as prompted, evaluating(prompted, readout), torch.no_grad():
        batch = prompted.encode(texts)
        logits = prompted(**batch).logits
        for row, text in enumerate(texts):
            alone = readout.collate([readout.encode(Row({"text": text}))])
            read = readout.outputs(prompted, alone)[0]
            column = -1 if family == "llama" else int((batch["input_ids"][row] == tokenizer().mask_token_id).nonzero())
            torch.testing.assert_close(logits[row, column], read, atol=1e-4, rtol=1e-4)
        assert (batch["input_ids"] == 77).any(1).all()
        plain = prompted.encode(TEXTS, template=False, max_length=2, truncation=True)["input_ids"]
        assert not (plain == 77).any()
        assert plain.shape[1] == 2
        with pytest.raises(SoftPromptError, match="max_length is the tokenizer's, and the template of task"):
            prompted.encode(TEXTS, max_length=2)


def test_of_several_prompts_the_one_that_is_named_gives_the_template(tmp_path: Path) -> None:
    prompt = member(few(tmp_path, template="{text} w77 {mask}")[0], "llama", "prompt_tuning", seed=3)
    with sp.attach(prompt.backbone, {"mine": prompt, "bare": sp.CaPT()}) as prompted:
        assert prompted.encode("w9")["input_ids"].tolist() == [[9]]
        assert prompted.encode("w9", prompts="bare")["input_ids"].tolist() == [[9]]
        assert prompted.encode("w9", prompts="mine")["input_ids"].tolist() == [[9, 77]]
        with pytest.raises(SoftPromptError, match="2 prompts are attached"):
            prompted.encode("w9", template=True)
        with pytest.raises(SoftPromptError, match="no prompt named 'x'"):
            prompted.answer("w9", prompts="x")


def test_choices_are_no_one_sequence(tmp_path: Path) -> None:
    task = sp.Task(template="{text} {choice}", kind="choice")
    prompt = member(task, "llama", "prompt_tuning", seed=3)
    with prompt.attach() as prompted, pytest.raises(SoftPromptError, match="several sequences of a text: use answer"):
        prompted.encode({"text": "w9", "choices": ["w11", "w12"]})


@pytest.mark.parametrize("kind", ["label words", "words of several tokens", "a decoder's words"])
def test_generate_may_give_label_words_alone(kind: str, tmp_path: Path) -> None:
    prompt = prompt_of(tmp_path, kind)
    assert prompt.task is not None
    with prompt.attach() as prompted:
        for more in ({}, {"num_beams": 3}, {"max_new_tokens": 6}):
            batch = prompted.encode(TEXTS)
            made = prompted.generate(**batch, only_label_words=True, **more)
            width = 0 if kind == "a decoder's words" else batch["input_ids"].shape[1]
            words = tokenizer().batch_decode(made[:, width:], skip_special_tokens=True)
            assert set(words) <= set(prompt.task.labels.values())
            if kind == "label words" and "num_beams" not in more:  # of one token each the likeliest is the answer
                assert words == prompted.answer(TEXTS, returns="words")


def test_a_token_that_a_model_forces_in_front_stands_in_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BART's configurations name one."""
    prompt = prompt_of(tmp_path, "a decoder's words")
    assert prompt.task is not None
    assert prompt.model.generation_config is not None
    monkeypatch.setattr(prompt.model.generation_config, "forced_bos_token_id", 0)
    with prompt.attach() as prompted:
        made = prompted.generate(**prompted.encode(TEXTS), only_label_words=True)
    assert set(tokenizer().batch_decode(made, skip_special_tokens=True)) <= set(prompt.task.labels.values())


def test_a_head_gives_no_label_words(tmp_path: Path) -> None:
    prompt = prompt_of(tmp_path, "a head")
    with prompt.attach() as prompted:
        with pytest.raises(SoftPromptError, match="its answers are no label words.*use answer"):
            prompted.generate(**prompted.encode("w9"), only_label_words=True)
        with pytest.raises(SoftPromptError, match="only_label_words is for one prompt"):
            prompted.generate(**prompted.encode("w9"), only_label_words=True, prompts=[0])


@pytest.mark.parametrize(
    ("kind", "wishes", "told"),
    [
        ("label words", {}, "prompted.answer(texts), or generate with only_label_words=True, gives a label"),
        ("a head", {}, "prompted.answer(texts) gives a label"),
        ("label words", {"loss": "vocabulary"}, ""),
        ("words of several tokens", {"loss": "vocabulary"}, ""),
        ("free text", {}, ""),
    ],
)
def test_the_first_generate_says_what_was_not_trained(
    kind: str, wishes: dict[str, Any], told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    family, changes, more = KINDS[kind]
    prompt = member(few(tmp_path, **changes)[0], family, "prompt_tuning", seed=3, **more, **wishes)
    caplog.set_level(logging.WARNING, "softprompt")
    for _ in range(2):
        with prompt.attach() as prompted:
            prompted.answer(TEXTS)
            batch = prompted.encode(TEXTS)
            if told:
                prompted.generate(**batch, max_new_tokens=1)
            prompted.generate(**batch, max_new_tokens=1)
    assert len(caplog.messages) == bool(told)
    assert told in caplog.text


def test_a_tokenizer_without_a_token_to_pad_with_gives_batches() -> None:
    bare = copy.deepcopy(tokenizer())
    with sp.attach(model("llama"), bare, sp.PromptTuning(num_virtual_tokens=2)) as prompted:
        expected = prompted.encode(["w9", "w9 w10 w11"])
        bare.pad_token = None
        found = prompted.encode(["w9", "w9 w10 w11"])
        assert bare.pad_token is None
    assert torch.equal(found["attention_mask"], expected["attention_mask"])
    mask = found["attention_mask"].bool()
    assert torch.equal(found["input_ids"][mask], expected["input_ids"][mask])
