"""Prompts as words of an ordinary checkpoint, which a program without this library asks."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer

import softprompt as sp
from softprompt.methods import Method

from ..shared import runs
from ..shared.carried import prompt_of
from ..shared.models import DECODERS, ENCODERS, FAMILIES, ids, model, tokenizer
from ..shared.peft_checkpoints import logits
from ..shared.prompts import METHODS

STREAM = {"num_virtual_tokens": 3}


def opened(folder: Path, family: str) -> Any:
    auto = AutoModelForCausalLM if family in DECODERS else AutoModelForSeq2SeqLM
    return (AutoModelForMaskedLM if family in ENCODERS else auto).from_pretrained(folder).eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_words_answer_as_the_prompt_does(family: str, tmp_path: Path) -> None:
    prompt = prompt_of(model(family), sp.PromptTuning(**STREAM))
    folder = sp.export({"mine": prompt}, tmp_path / "new", to="vocabulary")
    found, words = opened(folder, family), AutoTokenizer.from_pretrained(folder)
    row = words("<|mine:0|><|mine:1|><|mine:2|>", add_special_tokens=False, return_tensors="pt")["input_ids"]
    assert row.shape == (1, 3)
    assert int(row.min()) >= len(tokenizer())
    joined = torch.cat([row, ids(6)], dim=1)
    with prompt.attach() as prompted:
        expected = logits(prompted, family)
    given = {"input_ids": joined, "attention_mask": torch.ones_like(joined)}
    if family in ("t5", "mt5", "bart"):
        given["decoder_input_ids"] = ids(3, 1)
    with torch.no_grad():
        told = found(**given).logits[:, -expected.shape[1] :, : expected.shape[2]]
    torch.testing.assert_close(told, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", [name for name, one in METHODS.items() if one.site == "stream"])
def test_every_prompt_of_the_input_is_carried_or_refused_with_a_reason(method: str, tmp_path: Path) -> None:
    prompt = prompt_of(model("llama"), METHODS[method])
    own = prompt.producer.footprint
    try:
        folder = sp.export({"mine": prompt}, tmp_path / "new", to="vocabulary")
    except sp.SoftPromptError as error:
        assert not own.static or own.pool or own.prefix  # noqa: PT017
        assert "cannot be carried to vocabulary: it" in str(error)  # noqa: PT017
        return
    assert own.static
    listed = json.loads((folder / "prompts.json").read_text())["mine"]
    place = {"front": 0, "after_bos": 1, "end": 6}[own.placement]
    row = torch.cat([ids(6)[:, :place], torch.tensor([listed["ids"]]), ids(6)[:, place:]], dim=1)
    with prompt.attach() as prompted:
        expected = logits(prompted, "llama")
    with torch.no_grad():
        told = opened(folder, "llama")(row).logits[:, :, : expected.shape[2]]
    told = torch.cat([told[:, :place], told[:, place + own.count :]], dim=1)
    torch.testing.assert_close(told, expected, atol=1e-5, rtol=1e-5)


TASKS = {
    "one": {"template": "w50 {text} w51 {mask}", "labels": {"0": "w12", "1": "w13"}},
    "stem": {"template": "{text:stem}{sep}w51{mask}"},
    "around": {"template": "{prompt:1} {text} {prompt:2} {mask}"},
}


def printed(folder: Path, *swaps: tuple[str, str]) -> str:
    """What the program of the README prints."""
    program = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert {line.split()[1] for line in program.splitlines() if line.startswith("from")} == {"transformers"}
    assert len(program.splitlines()) <= 13
    for old, new in (("this folder", str(folder)), *swaps):
        assert old in program
        program = program.replace(old, new)
    with redirect_stdout(io.StringIO()) as out:
        exec(program, {})
    return out.getvalue().strip()


@pytest.mark.parametrize("case", TASKS)
@pytest.mark.parametrize("family", ["llama", "gemma3", "bert"])
def test_the_readmes_program_answers_as_the_prompt_does(family: str, case: str, tmp_path: Path) -> None:
    task = runs.task(tmp_path / "data", **TASKS[case])
    made = sp.train(
        model(family), tokenizer(), task, sp.PromptTuning(**STREAM), output=tmp_path / "run", max_steps=8,
        learning_rate=0.3, progress=False, seed=3, evaluations=1, batch_size=4,
    )  # fmt: skip
    texts = ["w20 w41 w42", "w30 w50. w61 ?", "w90", "w20 w30"]
    answers = made.prompt.predict(texts)
    folder = sp.export({"mine": made.prompt}, tmp_path / "new", to="vocabulary")
    assert [printed(folder, ("'content': '...'", f"'content': '{text}'")) for text in texts] == answers


def test_several_prompts_in_one_checkpoint(tmp_path: Path) -> None:
    prompts = {name: prompt_of(model("gemma3"), sp.PromptTuning(**STREAM), seed) for seed, name in enumerate("ab")}
    folder = sp.export(prompts, tmp_path / "new", to="vocabulary")
    listed = json.loads((folder / "prompts.json").read_text())
    assert listed["b"]["ids"] == [103, 104, 105]
    found, words = opened(folder, "gemma3"), AutoTokenizer.from_pretrained(folder)
    assert found.generation_config.suppress_tokens == [*range(100, 106)]
    for name, prompt in prompts.items():
        message = {"role": "user", "content": "w20 w41"}
        row = words.apply_chat_template([message], chat_template=name, return_dict=True, return_tensors="pt")
        told = found.generate(**row, max_new_tokens=4, do_sample=False)[0, row["input_ids"].shape[1] :]
        with prompt.attach() as prompted:
            given = tokenizer()("w20 w41", return_tensors="pt", return_token_type_ids=False)
            expected = prompted.generate(**given, max_new_tokens=4, do_sample=False)[0, given["input_ids"].shape[1] :]
        assert told.tolist() == expected.tolist()


def test_no_virtual_token_is_ever_written(tmp_path: Path) -> None:
    """With a tied head a row of its own state's direction would win each step."""
    backbone = model("gemma3")
    prompt = prompt_of(backbone, sp.PromptTuning(**STREAM))
    with torch.no_grad():
        prompt.producer.stored()["table"].mul_(1000)
    found = opened(sp.export({"mine": prompt}, tmp_path / "new", to="vocabulary"), "gemma3")
    assert found.lm_head.weight is found.get_input_embeddings().weight
    row = torch.arange(20, 90).view(10, 7)
    assert int(found(row).logits[:, -1].argmax(-1).max()) >= 100
    assert int(found.generate(row, max_new_tokens=6, do_sample=False, attention_mask=torch.ones_like(row)).max()) < 100


@pytest.mark.parametrize(
    ("name", "told"),
    [("a b", "cannot name a token"), ("default", "has a token or template of that name")],
)
def test_a_name_that_no_token_can_have_is_refused(name: str, told: str, tmp_path: Path) -> None:
    prompt = prompt_of(model("llama"), sp.PromptTuning(**STREAM))
    with pytest.raises(sp.SoftPromptError, match=told):
        sp.export({name: prompt}, tmp_path / "new", to="vocabulary")
    assert not (tmp_path / "new").exists()


def test_a_template_of_the_tokenizers_own_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = prompt_of(model("llama"), sp.PromptTuning(**STREAM))
    monkeypatch.setattr(prompt.tokenizer, "chat_template", {"default": "{{ 1 }}", "tool_use": "{{ 2 }}"})
    with pytest.raises(sp.SoftPromptError, match="'tool_use': the tokenizer has a token or template of that name"):
        sp.export({"tool_use": prompt}, tmp_path / "new", to="vocabulary")


def test_prompts_of_two_backbones_are_refused(tmp_path: Path) -> None:
    prompts = {name: prompt_of(model(name), sp.PromptTuning(**STREAM)) for name in ("llama", "gpt2")}
    with pytest.raises(sp.SoftPromptError, match="the prompts are of several backbones"):
        sp.export(prompts, tmp_path / "new", to="vocabulary")


@pytest.mark.parametrize(
    ("family", "method", "told"),
    [
        ("llama", sp.PTuningV2(**STREAM), "it has keys and values in the layers"),
        ("llama", sp.CaPT(), "it writes vectors into the layers"),
        ("llama", sp.LoRA(), "it works in the backbone's own weights"),
    ],
)
def test_what_is_no_word_is_refused(family: str, method: Method, told: str, tmp_path: Path) -> None:
    with pytest.raises(sp.SoftPromptError) as error:
        sp.export(prompt_of(model(family), method), tmp_path / "new", to="vocabulary")
    assert told in str(error.value)
