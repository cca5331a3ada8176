"""Where weights are codes, nothing takes a code for a number, and other codes or scales are another backbone."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import softprompt as sp
from softprompt.backbones.fingerprint import fingerprint
from softprompt.backbones.heads import label_rows
from softprompt.backbones.packed import inner_numbers
from softprompt.errors import SoftPromptError

from ..shared.models import fresh, ids, tokenizer
from ..shared.prompts import METHODS, producer
from ..shared.quantised import Codes, quantised
from ..shared.runs import task

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


class LaysOut(Codes):
    """A 4-bit layer as bitsandbytes has it: a call without a gradient lays its codes out, and none passes then."""

    support_avx512bf16_for_cpu = True

    def __init__(self, own: Any) -> None:
        super().__init__(own, buffers=False)
        self.support_avx512bf16_for_cpu = True
        self.weight.quant_state = SimpleNamespace(packing_format_for_cpu=False)

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        state: Any = self.weight.quant_state
        if self.support_avx512bf16_for_cpu and not given.requires_grad:
            state.packing_format_for_cpu = True
        made = super().forward(given)
        return made.detach() if state.packing_format_for_cpu else made


def _laying_out(layer: int = 1) -> Any:
    whole = fresh("llama")
    own = whole.model.layers[layer].mlp
    own.up_proj = LaysOut(own.up_proj)
    return whole


def test_a_layer_is_kept_from_laying_its_codes_out(tmp_path: Path) -> None:
    whole = _laying_out()
    done = sp.train(
        whole, tokenizer(), task(tmp_path / "data"), "capt", output=tmp_path / "run", progress=False, max_steps=2,
        batch_size=4, evaluations=1,
    )  # fmt: skip
    assert not whole.model.layers[1].mlp.up_proj.weight.quant_state.packing_format_for_cpu
    assert sp.load(tmp_path / "run", whole, tokenizer()).fingerprint == done.prompt.fingerprint


def test_codes_that_were_laid_out_are_refused() -> None:
    whole = _laying_out()
    with torch.no_grad():
        whole(input_ids=torch.tensor([[5, 6]]))
    with pytest.raises(SoftPromptError, match="4-bit weights of model.layers.1.mlp.up_proj .* load the backbone"):
        sp.attach(whole, tokenizer(), sp.CaPT())


class Deaf(Codes):
    """A layer that rounds what it is given, so that no gradient comes back."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return super().forward(given.detach())


def test_a_layer_through_which_no_gradient_passes_is_refused(tmp_path: Path) -> None:
    whole, own = fresh("llama"), fresh("llama").model.layers[2].mlp
    whole.model.layers[2].mlp.gate_proj = Deaf(own.gate_proj, buffers=True)
    with pytest.raises(SoftPromptError, match=r"no gradient passes through .* model.layers.2.mlp.gate_proj \(Deaf "):
        sp.train(whole, tokenizer(), task(tmp_path / "data"), "capt", output=tmp_path / "run", progress=False)


def test_a_tensor_of_tensors_is_what_it_is_made_of() -> None:
    plain, scale = torch.arange(3), torch.ones(2)

    class Made:
        codes, within = plain, SimpleNamespace(scale=scale, __tensor_flatten__=lambda: (["scale"], None))

        def __tensor_flatten__(self) -> tuple[list[str], None]:
            return ["codes", "within"], None

    made: Any = Made()
    assert all(one is other for one, other in zip(inner_numbers(made), [plain, scale], strict=True))
    assert inner_numbers(plain)[0] is plain
