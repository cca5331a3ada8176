"""The fingerprint tells backbones apart, and nothing but backbones."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import AutoModel

from softprompt.attached.attach import attach
from softprompt.backbones import fingerprint as fingerprints
from softprompt.backbones.fingerprint import Fingerprint, difference, fingerprint
from softprompt.errors import SoftPromptError
from softprompt.methods import PromptTuning

from ..shared.models import FAMILIES, model, tokenizer


def copied(family: str):
    return copy.deepcopy(model(family))


@pytest.mark.parametrize("family", FAMILIES)
def test_it_says_what_the_model_is_and_comes_back_from_json(family):
    backbone = copied(family)
    found = fingerprint(backbone)
    assert (found.family, found.architecture) == (backbone.config.model_type, type(backbone).__name__)
    assert (found.hidden_size, found.vocab_size, found.dtype) == (32, 100, "float32")
    assert found.num_parameters == sum(weight.numel() for weight in backbone.parameters())
    assert Fingerprint.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_with_and_without_its_head_are_one_backbone(family):
    backbone = copied(family)
    before = fingerprint(backbone)
    body = AutoModel.from_config(backbone.config)
    body.load_state_dict(backbone.base_model.state_dict(), strict=False)
    assert fingerprint(body).weights == before.weights
    assert difference(before, fingerprint(body)) is None


@pytest.mark.parametrize("family", FAMILIES)
def test_one_changed_number_in_any_weight_is_seen(family):
    backbone = copied(family)
    before = fingerprint(backbone)
    for weight in backbone.parameters():
        value = weight.data.flatten()[-1].clone()
        weight.data.view(-1)[-1] += 1
        assert "weights" in str(difference(before, fingerprint(backbone)))
        weight.data.view(-1)[-1] = value
    assert fingerprint(backbone) == before


def test_swapped_weights_and_swapped_rows_are_seen():
    backbone = copied("llama")
    before = fingerprint(backbone)
    first, second = (layer.mlp.up_proj.weight for layer in backbone.model.layers[:2])
    first.data, second.data = second.data, first.data
    assert difference(before, fingerprint(backbone)) is not None
    first.data, second.data = second.data, first.data
    first.data = first.data.flip(0)
    assert difference(before, fingerprint(backbone)) is not None


@pytest.mark.parametrize("family", ["llama", "bert", "t5"])
def test_dtype_gradient_and_training_flags_change_nothing(family):
    backbone = copied(family)
    before = fingerprint(backbone)
    for changed in (
        copy.deepcopy(backbone).to(torch.bfloat16),
        copy.deepcopy(backbone).to(torch.bfloat16).to(torch.float32),
        copy.deepcopy(backbone).requires_grad_(False),
        copy.deepcopy(backbone).train(),
    ):
        after = fingerprint(changed)
        assert difference(before, after) is None
        assert after.weights == before.weights
        assert after.head == before.head
    assert fingerprint(copy.deepcopy(backbone).to(torch.bfloat16)).dtype == "bfloat16"


@pytest.mark.parametrize("family", ["llama", "bert", "t5"])
def test_attached_prompts_change_nothing(family):
    backbone = copied(family)
    before = fingerprint(backbone)
    with attach(backbone, tokenizer(), PromptTuning(num_virtual_tokens=3)) as prompted:
        assert fingerprint(prompted) == before
        assert fingerprint(backbone) == before
    assert fingerprint(backbone) == before


def test_large_weights_are_hashed_piece_by_piece_to_the_same_end(monkeypatch):
    backbone = model("gpt2")
    whole = fingerprint(backbone)
    monkeypatch.setattr("softprompt.backbones.fingerprint._PIECE", 7)
    assert fingerprint(backbone) == whole


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("family", "bert", "family is llama there and bert here"),
        ("hidden_size", 64, "hidden_size is 32 there and 64 here"),
        ("num_layers", 9, "num_layers is 3 there and 9 here"),
        ("vocab_size", 7, "vocab_size is 100 there and 7 here"),
        ("weights", "f" * 64, "the weights differ .*ffffffffffff here"),
        ("head", "f" * 64, "the weights of the head differ .*ffffffffffff here"),
        ("dtype", "bfloat16", None),
        ("num_parameters", 7, None),
        ("architecture", "LlamaModel", None),
    ],
)
def test_the_difference_is_named(field, value, line):
    recorded = fingerprint(model("llama"))
    found = recorded.model_copy(update={field: value})
    if line is None:
        assert difference(recorded, found) is None
    else:
        told = difference(recorded, found)
        assert told is not None
        with pytest.raises(ValueError, match=line):
            raise ValueError(told)


def test_weights_that_are_not_in_memory_are_told():
    with pytest.raises(SoftPromptError, match="is not in memory: load the backbone without offloading"):
        fingerprint(copied("gpt2").to("meta"))


def _stepped(backbone):
    optimizer = torch.optim.AdamW(backbone.parameters(), lr=1e-2)
    backbone(input_ids=torch.arange(5, 10)[None]).logits.sum().backward()
    optimizer.step()


def _through_numpy(backbone):
    backbone.get_input_embeddings().weight.detach().numpy()[7, 3] += 1


def _head_alone(backbone):
    backbone.get_output_embeddings().weight.data[3] *= 2


def _reordered(backbone):
    weight = next(backbone.parameters()).data
    weight.copy_(weight.flip(0))


WAYS = {
    "an optimizer": _stepped,
    "load_state_dict": lambda backbone: backbone.load_state_dict(
        {name: one + 1 for name, one in backbone.state_dict().items()}
    ),
    "data": lambda backbone: next(backbone.parameters()).data.mul_(2),
    "other data": lambda backbone: setattr(p := next(backbone.parameters()), "data", p.data * 2),
    "a sign": lambda backbone: next(backbone.parameters()).data.view(-1)[3].neg_(),
    "two signs": lambda backbone: next(backbone.parameters()).data.view(-1)[3:8:4].neg_(),
    "the order of rows": _reordered,
    "numpy": _through_numpy,
    "a larger vocabulary": lambda backbone: backbone.resize_token_embeddings(120, mean_resizing=False),
    "another layer": lambda backbone: setattr(
        backbone.model.layers[0], "mlp", copy.deepcopy(model("llama", seed=9).model.layers[0].mlp)
    ),
    "the head alone": _head_alone,
}


@pytest.mark.parametrize("way", WAYS)
def test_weights_are_hashed_once_until_they_are_changed_in_whatever_way(way, monkeypatch):
    backbone, hashed = copied("llama"), []
    digest_of = fingerprints._digest_of
    monkeypatch.setattr(fingerprints, "_digest_of", lambda *given: hashed.append(given[0]) or digest_of(*given))
    before = [fingerprint(backbone) for _ in range(3)]
    assert before[0] == before[1] == before[2]
    count = len(list(backbone.parameters()))
    assert len(hashed) == count
    WAYS[way](backbone)
    now = fingerprint(backbone)
    assert difference(before[0], now) is not None
    assert now == fingerprint(copy.deepcopy(backbone))
    assert len(hashed) == 3 * count


def test_weights_made_in_inference_mode_are_hashed_once_too(monkeypatch):
    with torch.inference_mode():
        backbone = copied("bert")
    first = fingerprint(backbone)
    monkeypatch.setattr(fingerprints, "_digest_of", None)
    assert fingerprint(backbone) == first
