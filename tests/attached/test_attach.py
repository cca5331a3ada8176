"""What attaching refuses, in one line that names the thing and the mend."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import torch

from softprompt.attached.attach import attach, build, sketch
from softprompt.errors import SoftPromptError
from softprompt.methods import CaPT, DeepPrompt, FullFinetuning, PromptTuning, PTuningV2
from softprompt.methods.base import MOST
from softprompt.training.measure import peak_memory, reset_peak

from ..shared.models import POSITIONS, ids, model, padded, tokenizer
from ..shared.prompts import FAMILIES, METHODS, call, close, fails, logits, producer, tiny


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama", "gemma3", "bart"])
@pytest.mark.parametrize("method", [PromptTuning, PTuningV2, DeepPrompt])
def test_a_prompt_longer_than_the_positions(family: str, method: Any) -> None:
    with fails("takes 64 positions, but the backbone .* has 6.: lower num_virtual_tokens"):
        attach(model(family), tokenizer(), method(num_virtual_tokens=POSITIONS))


def test_t5_has_room_for_any_prompt() -> None:
    with tiny("t5", PromptTuning(num_virtual_tokens=100)) as prompted:
        assert call(prompted, ids(5)).logits.shape[1] == 4


@pytest.mark.parametrize("family", ["bert", "roberta", "albert", "gpt2", "bart"])
def test_a_text_that_leaves_the_prompt_no_room(family: str) -> None:
    with tiny(family, PromptTuning(num_virtual_tokens=10)) as prompted:
        limit = prompted.anatomy.max_positions
        assert limit is not None
        assert torch.isfinite(call(prompted, ids(limit - 10)).logits).all()
        with fails(f"take {limit + 1} positions.*has {limit}: shorten the text"):
            call(prompted, ids(limit - 9))
        # padding takes no position
        batch, mask = padded([ids(limit - 10)], "right", 5)
        close(logits(prompted, batch, mask)[0], logits(prompted, ids(limit - 10))[0])


@pytest.mark.parametrize("family", ["bert", "roberta", "albert"])
def test_a_capsule_takes_no_position_of_an_encoder(family: str) -> None:
    with tiny(family, CaPT(init_std=0.5)) as prompted:
        limit = prompted.anatomy.max_positions
        assert limit is not None
        assert torch.isfinite(call(prompted, ids(limit)).logits).all()


def test_keys_and_values_take_positions() -> None:
    with tiny("gpt2", PTuningV2(num_virtual_tokens=10)) as prompted:
        call(prompted, ids(POSITIONS - 10))
        with fails("take 65 positions"):
            call(prompted, ids(POSITIONS - 9))


def test_attaching_twice() -> None:
    with tiny("llama", "capt") as one:
        alone = logits(one, ids(5))[0]
    with tiny("llama", "prompt_tuning") as other, tiny("llama", "capt") as one:
        assert torch.equal(logits(one, ids(5))[0], alone)
        with fails("attach to its backbone"):
            attach(other, tokenizer(), CaPT())


def test_names() -> None:
    two = {"one": CaPT(), "two": PromptTuning(num_virtual_tokens=2)}
    with attach(model("llama"), tokenizer(), two) as prompted:
        batch = torch.cat([ids(4), ids(4, 1)])
        with fails("no prompt named 'three' is attached: choose from one, two"):
            prompted(input_ids=batch, prompts=["one", "three"])
        with fails("2 prompts are attached .one, two.: say which"):
            prompted(input_ids=batch)
        with fails("names 1 rows, but the batch has 2"):
            prompted(input_ids=batch, prompts=["one"])
        with fails("index 2 is out of range"):
            prompted(input_ids=batch, prompts=[0, 2])
        with fails("named 'one' is attached already"):
            prompted.add("one", prompted.prompts[0])
        with fails("no prompt named 'x'"):
            prompted.remove("x")
        prompted.remove("one")
        assert prompted(input_ids=batch).logits.shape[:2] == (2, 4)
        prompted.remove("two")
        with fails("0 prompts are attached"):
            prompted(input_ids=batch)


def test_what_is_no_prompt() -> None:
    with fails("takes a method or a loaded prompt, not str"):
        attach(model("llama"), tokenizer(), "capt")


def test_a_method_that_changes_the_model_for_everybody_is_refused() -> None:
    """Before calls were told apart a producer changed the model in `install`: left uncalled it would train nothing."""
    made = producer(model("bert"), "prompt_tuning")
    made.install = lambda backbone: None
    with pytest.raises(SoftPromptError, match="Table changes the model in `install`.*give .* `stand_ins`"):
        attach(model("bert"), tokenizer(), made)


def test_weights_stand_alone() -> None:
    with fails("attach it alone"):
        attach(model("llama"), tokenizer(), {"weights": FullFinetuning(), "prompt": CaPT()})
    with tiny("llama", "capt") as prompted, fails("attach it alone"):
        prompted.add("weights", producer(prompted.backbone, FullFinetuning()))
    with tiny("llama", "full_finetuning") as prompted, fails("attach it alone"):
        prompted.add("another", producer(prompted.backbone, CaPT()))


def test_flash_attention_is_refused() -> None:
    backbone = model("llama", seed=5)
    backbone.config._attn_implementation_internal = "flash_attention_2"
    try:
        with fails("'sdpa' or 'eager' attention, not 'flash_attention_2'"):
            attach(backbone, tokenizer(), PTuningV2())
    finally:
        backbone.config._attn_implementation_internal = "sdpa"


@pytest.mark.parametrize("method", list(METHODS))
def test_a_sketch_has_the_forms_of_the_prompt_and_nothing_is_made_that_is_not_stored(method: str) -> None:
    backbone = model(FAMILIES[method][0])
    blank = build(backbone, tokenizer(), METHODS[method], blank=True)
    drawn = sketch(backbone, tokenizer(), METHODS[method])
    forms = [{name: (value.dtype, value.shape) for name, value in one.stored().items()} for one in (blank, drawn)]
    assert forms[0] == forms[1]
    assert {parameter.device.type for parameter in drawn.parameters()} <= {"meta"}
    size = sum(value.numel() for value in blank.stored().values())
    assert sum(parameter.numel() for parameter in blank.parameters()) <= size


@pytest.mark.parametrize("method", list(METHODS))
def test_the_largest_options_are_weighed_before_they_are_made(method: str) -> None:
    """The sketch of each whole number at its largest takes no memory, or is refused."""
    backbone, chosen = model(FAMILIES[method][0]), METHODS[method]
    whole = [name for name in type(chosen).model_fields if isinstance(getattr(chosen, name), int)]
    for name in whole:
        if isinstance(getattr(chosen, name), bool):
            continue
        reset_peak()
        before = peak_memory()
        with suppress(SoftPromptError, RuntimeError, TypeError):
            sketch(backbone, tokenizer(), chosen.model_copy(update={name: MOST})).stored()
        assert peak_memory() - before < 200 << 20, name
