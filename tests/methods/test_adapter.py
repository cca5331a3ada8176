"""Adapters equal a copy of the model whose projections are wrapped by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import MixtralConfig, MixtralForCausalLM

from softprompt.attached.attach import attach, build
from softprompt.errors import SoftPromptError
from softprompt.methods import Adapter
from softprompt.sites.producer import Producer

from ..shared.by_modules import Followed, copied, path_in
from ..shared.models import HIDDEN, LAYERS, ids, model, padded, tokenizer
from ..shared.prompts import TARGET, close, every_family, logits, loss_of

EXAMPLES = {
    "adapter": {"method": "adapter", "bottleneck": 4, "init_std": 0.3},
    "adapter_alone": {"method": "adapter", "bottleneck": 4, "init_std": 0.3, "train_norms": False},
}

ROWS = [ids(7, 1), ids(4, 2)]


def moved(family: str, method: Adapter) -> Producer:
    """Adapters and norms that are far from where they start."""
    producer = build(model(family), tokenizer(), method)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in producer.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return producer


def by_hand(family: str, producer: Any) -> Any:
    copy = copied(family)
    for path, module in producer.places.items():
        name, at = path.replace(".", "/"), path_in(copy, path)
        if name in producer.norms:
            for one, value in producer.norms[name].items():
                getattr(copy.get_submodule(at), one).data.copy_(value)
        else:
            net = producer.adapters[name]
            values = (net.down.weight, net.down.bias, net.up.weight, net.up.bias)
            copy.set_submodule(at, Followed(copy.get_submodule(at), *values))
        assert type(module) is type(model(family).get_submodule(path_in(model(family), path)))
    return copy


@every_family
@pytest.mark.parametrize("train_norms", [True, False])
def test_the_equation(family: str, train_norms: bool) -> None:
    producer = moved(family, Adapter(bottleneck=5, train_norms=train_norms))
    with torch.no_grad():
        copy = by_hand(family, producer)
        extra = {"decoder_input_ids": TARGET} if family in ("t5", "bart") else {}
        with attach(model(family), tokenizer(), producer) as prompted:
            found = logits(prompted, *padded(ROWS, "left"))
        for row, one in zip(ROWS, found, strict=True):
            expected = copy(input_ids=row, **extra).logits[0]
            close(one, expected, 1e-5)
            plain = model(family)(input_ids=row, **extra).logits[0]
            assert (plain - expected).abs().max() > 0.01


@every_family
def test_training_starts_close_to_the_backbone(family: str) -> None:
    row, extra = ids(6), {"decoder_input_ids": TARGET} if family in ("t5", "bart") else {}
    with torch.no_grad():
        plain = model(family)(input_ids=row, **extra).logits[0]
        with attach(model(family), tokenizer(), Adapter()) as prompted:
            close(logits(prompted, row)[0], plain, 1e-3)
            weights = [p for p in prompted.prompts[0].adapters.parameters() if p.ndim == 2]
            assert 0 < max(float(w.abs().max()) for w in weights) <= 2e-3


def test_the_published_count() -> None:
    """METHODS: 2 N (2 m d + m + d), and 4 N d for the norms of BERT."""
    m, d = 8, HIDDEN
    with_norms, alone = (
        sum(p.numel() for p in build(model("bert"), tokenizer(), Adapter(bottleneck=m, train_norms=norms)).parameters())
        for norms in (True, False)
    )
    assert alone == 2 * LAYERS * (2 * m * d + m + d)
    assert with_norms == alone + 4 * LAYERS * d


def test_both_stacks_and_the_cross_attention() -> None:
    """T5: three encoder layers of two places, two decoder layers of three."""
    made = build(model("t5"), tokenizer(), Adapter())
    assert len(made.adapters) == 3 * 2 + 2 * 3
    assert sum("EncDecAttention" in name for name in made.adapters) == 2
    with attach(model("t5"), tokenizer(), made) as prompted:
        prompted.train()
        loss_of(prompted, ids(5)).backward()
        assert all(p.grad is not None for p in made.parameters())


def test_a_mixture_of_experts_is_refused() -> None:
    config = MixtralConfig(
        vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, num_local_experts=2,
    )  # fmt: skip
    with pytest.raises(SoftPromptError, match="'mixtral': its layers have no single output projections"):
        attach(MixtralForCausalLM(config), tokenizer(), Adapter())


def test_it_stays_with_the_model_that_it_was_built_for() -> None:
    made = build(model("llama"), tokenizer(), Adapter())
    with pytest.raises(SoftPromptError, match="built for another model"):
        attach(model("llama", seed=1), tokenizer(), made)
