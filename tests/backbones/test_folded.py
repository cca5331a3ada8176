"""The fingerprint of a model with adapters is that of the model which they make of it."""

from __future__ import annotations

import copy
from typing import Any

import peft
import pytest
import torch

from softprompt.backbones.fingerprint import Fingerprint, fingerprint, num_parameters

from ..shared.adapted import lora, merged, wrapped
from ..shared.models import fresh

_Q = {"target_modules": ["q_proj"]}
KINDS = {
    "lora": peft.LoraConfig(**_Q, init_lora_weights=False),
    "dora": peft.LoraConfig(**_Q, init_lora_weights=False, use_dora=True),
    "lora of embeddings": peft.LoraConfig(target_modules=["embed_tokens", "lm_head"], init_lora_weights=False),
    "lora and a head": peft.LoraConfig(**_Q, init_lora_weights=False, modules_to_save=["lm_head"]),
    "lora and tokens": peft.LoraConfig(**_Q, init_lora_weights=False, trainable_token_indices=[5, 6]),
    "ia3": peft.IA3Config(
        target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"], init_ia3_weights=False
    ),
    "vera": peft.VeraConfig(**_Q, init_weights=False),
}
BASE = fingerprint(fresh("llama"))


def weights(found: Fingerprint) -> tuple[str, str]:
    """What a prompt must find again."""
    return found.weights, found.head


@pytest.mark.filterwarnings("ignore::UserWarning")  # PEFT tells of tied weights that there are none of
@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_counts_as_folded_in(kind: str) -> None:
    model = wrapped(fresh("llama"), KINDS[kind])
    own = fingerprint(model)
    assert fingerprint(merged(model)) == own
    assert (own.family, own.architecture) == (BASE.family, BASE.architecture)
    assert num_parameters(model) == BASE.num_parameters
    if kind not in ("lora and a head", "lora and tokens"):  # which start at the model's own
        assert weights(own) != weights(BASE)
    model.merge_adapter()
    assert fingerprint(model) == own


def test_only_what_is_active_counts() -> None:
    model = lora(names=("first", "second"))
    first = weights(fingerprint(model))
    model.set_adapter("second")
    second = weights(fingerprint(model))
    model.base_model.set_adapter(["first", "second"])
    assert len({first, second, weights(fingerprint(model)), weights(BASE)}) == 4
    model.set_adapter("first")
    assert weights(fingerprint(model)) == first
    with model.disable_adapter():
        assert fingerprint(model) == BASE
    with torch.no_grad():
        model.get_parameter("base_model.model.model.layers.1.self_attn.q_proj.lora_B.second.weight").add_(1)
    assert weights(fingerprint(model)) == first


def test_a_kind_that_folds_into_no_weight_counts_beside_it() -> None:
    config = peft.AdaptionPromptConfig(task_type="CAUSAL_LM", adapter_len=3, adapter_layers=2)
    model = wrapped(fresh("llama"), config)
    own = weights(fingerprint(model))
    with torch.no_grad():
        model.get_submodule("base_model.model.model.layers.2.self_attn").adaption_gate.add_(1)
    assert len({own, weights(fingerprint(model)), weights(BASE)}) == 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_type_of_the_base_changes_nothing(dtype: torch.dtype) -> None:
    model = lora()
    with torch.no_grad():  # numbers that both types have
        for name, one in model.named_parameters():
            if "lora_" not in name:
                one.copy_(one.to(torch.float16).to(torch.bfloat16).to(torch.float16))
    other = copy.deepcopy(model)
    for name, one in other.named_parameters():
        one.data = one.data if "lora_" in name else one.data.to(dtype)
    assert weights(fingerprint(other)) == weights(fingerprint(model))


def test_a_kind_that_cannot_be_merged_here_counts_all_the_same() -> None:
    """A bias that the model's own layer has no place for."""
    config = peft.LoraConfig(target_modules=["q_proj"], init_lora_weights=False, lora_bias=True)
    model = wrapped(fresh("llama"), config)
    with pytest.raises(RuntimeError, match="Impossible to merge"):
        copy.deepcopy(model).merge_adapter()
    own = weights(fingerprint(model))
    with torch.no_grad():
        model.get_submodule("base_model.model.model.layers.1.self_attn.q_proj").lora_B.default.bias.add_(1)
    assert len({own, weights(fingerprint(model)), weights(BASE)}) == 3


def test_what_is_not_floating_is_told_apart_by_the_adapter_beside_it() -> None:
    """As over a quantised weight, into which nothing can be folded."""
    model: Any = lora(names=("first", "second"))
    layer = model.get_submodule("base_model.model.model.layers.1.self_attn.q_proj")
    layer.base_layer.weight = torch.nn.Parameter(layer.base_layer.weight.data.mul(9).to(torch.int8), False)
    first = weights(fingerprint(model))
    model.set_adapter("second")
    assert weights(fingerprint(model)) != first
    with torch.no_grad():
        layer.lora_B.second.weight.add_(1)
        changed = weights(fingerprint(model))
        layer.lora_B.first.weight.add_(1)
    assert weights(fingerprint(model)) == changed
