"""Where weights are codes, nothing takes a code for a number, and other codes or scales are another backbone."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

import softprompt as sp
from softprompt.backbones.fingerprint import fingerprint
from softprompt.backbones.heads import label_rows
from softprompt.errors import SoftPromptError

from ..shared.models import fresh, ids, tokenizer
from ..shared.prompts import METHODS, producer
from ..shared.quantised import Codes, quantised

KINDS: list[dict[str, bool]] = [{}, {"buffers": True}, {"whole": True}]
WAYS = ("prompt_tuning", "capt", "p_tuning_v2", "lora", "ia3", "adapter", "deep_prompt")


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_prompts_answer_and_learn_as_over_the_numbers(kind: dict[str, bool]) -> None:
    pair = quantised(**kind)
    for method in WAYS:
        found: list[list[torch.Tensor]] = []
        for target in pair:
            made = producer(target, method)
            with sp.attach(target, tokenizer(), made) as prompted:
                prompted.train()
                logits = prompted(input_ids=ids(7)).logits
                logits.logsumexp(-1).sum().backward()
            found.append([logits.detach(), *(one.grad for one in made.parameters() if one.grad is not None)])
        torch.testing.assert_close(*found, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("part", ["weight", "scale"])
def test_other_codes_and_other_scales_are_another_backbone(kind: dict[str, bool], part: str) -> None:
    packed, _ = quantised(**kind)
    own = fingerprint(packed)
    for module in [one for one in packed.modules() if isinstance(one, Codes)]:
        other = copy.deepcopy(packed)
        twin = dict(zip(packed.modules(), other.modules(), strict=True))[module]
        with torch.no_grad():
            getattr(twin, part)[0] *= -1
        changed = fingerprint(other)
        assert (changed.weights, changed.head) != (own.weights, own.head)


@pytest.mark.filterwarnings("ignore:.*torch.ao.quantization:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*quantized:UserWarning")
def test_torchs_own_int8_layers_count() -> None:
    def packed(model: Any) -> Any:
        return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)

    whole, other = fresh("llama"), fresh("llama")
    with torch.no_grad():
        other.model.layers[1].self_attn.q_proj.weight.mul_(-1)
    one = packed(copy.deepcopy(whole))
    assert fingerprint(one) == fingerprint(packed(whole))
    assert fingerprint(one).weights != fingerprint(packed(other)).weights
    near, exact = label_rows(one, [(5,), (6, 7)])[0], label_rows(fresh("llama"), [(5,), (6, 7)])[0]
    assert float((near - exact).abs().max()) < 0.02 * float(exact.abs().max())


def test_label_words_are_read_off_what_the_head_answers() -> None:
    packed, plain = quantised(whole=True)
    for found, expected in zip(label_rows(packed, [(5,), (6, 7)]), label_rows(plain, [(5,), (6, 7)]), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_trains_the_weights_is_refused(kind: dict[str, bool]) -> None:
    packed, _ = quantised(**kind)
    with pytest.raises(SoftPromptError, match=r"the backbone is quantised \(model\."):
        sp.attach(packed, tokenizer(), METHODS["full_finetuning"])


def test_an_embedding_whose_rows_are_packed_is_refused() -> None:
    packed, _ = quantised(whole=True)
    packed.get_input_embeddings().num_embeddings = 200
    with pytest.raises(SoftPromptError, match="packs its 200 words into 100 rows"):
        sp.attach(packed, tokenizer(), sp.PromptTuning(num_virtual_tokens=2))
