"""What attaching refuses, in one line that names the thing and the mend."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from softprompt.attached.attach import attach
from softprompt.errors import SoftPromptError
from softprompt.methods import CaPT, DeepPrompt, FullFinetuning, PromptTuning, PTuningV2

from ..shared.models import POSITIONS, ids, model, padded, tokenizer
from ..shared.prompts import attached, call, close, logits, producer, tiny


def fails(match: str) -> Any:
    return pytest.raises(SoftPromptError, match=match)


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


def test_inputs_that_leave_no_place_for_a_prompt() -> None:
    with tiny("llama", "prompt_tuning") as prompted:
        vectors = prompted.anatomy.embedding(ids(4))
        with fails("pass input_ids, not inputs_embeds"):
            prompted(inputs_embeds=vectors)
        with fails("attention_mask of shape"):
            prompted(input_ids=ids(4), attention_mask=torch.ones(1, 1, 4, 4))
        with fails("without input_ids"):
            prompted()
        with fails("generate needs input_ids"):
            prompted.generate(inputs_embeds=vectors)
        with fails("leave one of them out"):
            prompted(input_ids=ids(4), labels=ids(4), positions=torch.tensor([[1]]))
    with tiny("t5", "prompt_tuning") as prompted, fails("encoder_outputs hold no virtual tokens"):
        prompted(input_ids=ids(4), encoder_outputs=(torch.zeros(1, 4, 32),), decoder_input_ids=ids(2))


def test_inputs_that_a_prefix_takes() -> None:
    """Keys and values need no place in the sequence."""
    with tiny("llama", "p_tuning_v2") as prompted, torch.no_grad():
        expected = prompted(input_ids=ids(4)).logits
        close(prompted(inputs_embeds=prompted.anatomy.embedding(ids(4))).logits, expected)
        causal = torch.ones(4, 4, dtype=torch.bool).tril()[None, None]
        close(prompted(input_ids=ids(4), attention_mask=causal).logits, expected)


def test_one_call_at_a_time() -> None:
    with tiny("llama", "capt") as prompted, prompted.calling((0,)), fails("running already"):
        prompted(input_ids=ids(4))


def test_a_call_that_fails_leaves_no_call_open() -> None:
    with tiny("llama", "capt") as prompted:
        expected = prompted(input_ids=ids(4)).logits
        with pytest.raises(IndexError):
            prompted(input_ids=torch.tensor([[-5]]))
        assert torch.equal(prompted(input_ids=ids(4)).logits, expected)


def test_the_backbone_runs_as_if_nothing_were_attached() -> None:
    plain = model("llama")(input_ids=ids(4)).logits
    for method in ("capt", "prompt_tuning", "p_tuning_v2"):
        with attached(model("llama"), method) as prompted:
            close(prompted.backbone(input_ids=ids(4)).logits, plain, 1e-6)


def test_encoding() -> None:
    with tiny("llama", "capt") as prompted:
        batch = prompted.encode(["w9 w8 w7", "w6"])
        assert batch["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
        assert prompted(**batch).logits.shape[:2] == (2, 3)
    with tiny("bert", "capt") as prompted:
        assert prompted.encode("w9 w8")["input_ids"].tolist() == [[9, 8]]
