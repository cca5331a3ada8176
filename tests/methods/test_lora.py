"""LoRA equals PEFT's own on a copy of the model, of which it takes the layers."""

from __future__ import annotations

import builtins
from typing import Any

import peft
import pytest
import torch

from softprompt.attached.attach import attach, build
from softprompt.errors import SoftPromptError
from softprompt.methods import LoRA

from ..shared.by_modules import copied, path_in
from ..shared.models import HEADS, HIDDEN, LAYERS, ids, model, padded, tokenizer
from ..shared.prompts import TARGET, close, every_family, logits, producer

EXAMPLES = {"lora": {"method": "lora", "rank": 4}}

# PEFT asks transformers for a name that this deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

ROWS = [ids(7, 1), ids(4, 2)]


def from_peft(family: str, made: Any, **options: Any) -> Any:
    """PEFT's model over a copy, its own choice of modules, with our values."""
    copy = copied(family)
    tensors = {}
    for path in made.places:
        at = path_in(copy, path)
        for name in ("lora_A.weight", "lora_B.weight"):
            tensors[f"base_model.model.{at}.{name}"] = made.stored()[f"{path}.{name}"]
    if family == "albert":  # the one family here that PEFT's table does not know
        options["target_modules"] = ["query", "value"]
    fused = {"fan_in_fan_out": True} if family == "gpt2" else {}
    wrapped = peft.get_peft_model(copy, peft.LoraConfig(**fused, **options)).eval()
    loaded = peft.set_peft_model_state_dict(wrapped, tensors)
    assert not loaded.unexpected_keys
    assert not [key for key in loaded.missing_keys if "lora_" in key]
    return wrapped


@every_family
@pytest.mark.parametrize(("rank", "alpha"), [(4, 16.0), (2, 1.0)])
def test_it_is_pefts(family: str, rank: int, alpha: float) -> None:
    made = producer(model(family), LoRA(rank=rank, alpha=alpha))
    reference = from_peft(family, made, r=rank, lora_alpha=alpha)
    extra = {"decoder_input_ids": TARGET} if family in ("t5", "bart") else {}
    with torch.no_grad(), attach(model(family), tokenizer(), made) as prompted:
        for row, found in zip(ROWS, logits(prompted, *padded(ROWS, "left")), strict=True):
            expected = reference(input_ids=row, **extra).logits[0]
            close(found, expected, 1e-5)


@every_family
def test_training_starts_from_the_backbone(family: str) -> None:
    row, extra = ids(6), {"decoder_input_ids": TARGET} if family in ("t5", "bart") else {}
    with torch.no_grad(), attach(model(family), tokenizer(), LoRA()) as prompted:
        found = logits(prompted, row)[0]
        prompted.detach()
        assert torch.equal(found, model(family)(input_ids=row, **extra).logits[0])


def test_the_count_is_the_sum_of_r_times_inputs_and_outputs() -> None:
    keys = HIDDEN // HEADS * 2  # grouped queries
    for family, modules in (("bert", [(HIDDEN, HIDDEN)] * 2), ("llama", [(HIDDEN, HIDDEN), (HIDDEN, keys)])):
        made = build(model(family), tokenizer(), LoRA(rank=3))
        expected = LAYERS * sum(3 * (inputs + outputs) for inputs, outputs in modules)
        assert sum(p.numel() for p in made.parameters()) == expected
        assert sum(value.numel() for value in made.stored().values()) == expected


def test_the_seed_decides_and_torchs_state_stays() -> None:
    before = torch.get_rng_state()
    one, two, other = (build(model("bert"), tokenizer(), LoRA(), seed=seed).stored() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_modules_by_name() -> None:
    made = build(model("llama"), tokenizer(), LoRA(target_modules=["o_proj", "mlp.up_proj"]))
    assert {path.split(".", 2)[2] for path in made.places} == {"self_attn.o_proj", "mlp.up_proj"}
    with pytest.raises(SoftPromptError, match=r"no such modules.*some of down_proj, gate_proj, k_proj"):
        attach(model("llama"), tokenizer(), LoRA(target_modules=["query"]))


def test_dropout_works_while_training_alone() -> None:
    made = producer(model("llama"), LoRA(dropout=0.5))
    with torch.no_grad(), attach(model("llama"), tokenizer(), made) as prompted:
        assert torch.equal(logits(prompted, ids(6))[0], logits(prompted, ids(6))[0])
        prompted.train()
        assert not torch.equal(logits(prompted, ids(6))[0], logits(prompted, ids(6))[0])


def test_without_peft(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "peft":
            raise ImportError(name)
        return found(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(SoftPromptError, match="pip install 'peft>=0.18'"):
        attach(model("llama"), tokenizer(), LoRA())
