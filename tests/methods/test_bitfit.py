"""BitFit equals a copy of the model with other biases, in its logits and its gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from softprompt.attached.attach import attach, build
from softprompt.errors import SoftPromptError
from softprompt.methods import BitFit
from softprompt.sites.producer import Producer

from ..shared.by_modules import copied, path_in
from ..shared.models import HIDDEN, LAYERS, ids, model, padded, tokenizer
from ..shared.prompts import TARGET, close, logits, loss_of

EXAMPLES = {"bitfit": {"method": "bitfit", "families": ["bert", "roberta", "albert", "bart", "gpt2"]}}

ROWS = [ids(7, 1), ids(4, 2)]
every_biased = pytest.mark.parametrize("family", ["bert", "roberta", "albert", "bart", "gpt2", "qwen2"])


def moved(family: str, **options: Any) -> Producer:
    made = build(model(family, **options), tokenizer(), BitFit())
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for bias in made.parameters():
            bias.add_(torch.randn(bias.shape, generator=generator) * 0.5)
    return made


def with_biases(family: str, made: Any) -> Any:
    copy = copied(family)
    for path in made.places:
        copy.get_submodule(path_in(copy, path)).bias.data.copy_(made.biases[path.replace(".", "/")].data)
    return copy


@every_biased
def test_logits_and_gradients(family: str) -> None:
    made = moved(family)
    copy = with_biases(family, made)
    extra = {"decoder_input_ids": TARGET} if family == "bart" else {}
    with attach(model(family), tokenizer(), made) as prompted:
        with torch.no_grad():
            for row, found in zip(ROWS, logits(prompted, *padded(ROWS, "left")), strict=True):
                close(found, copy(input_ids=row, **extra).logits[0], 1e-5)
        loss_of(prompted, ids(6)).backward()
    out = copy(input_ids=ids(6), **extra).logits
    (out * torch.linspace(-1, 1, out.numel()).view_as(out)).mean().backward()
    for path in made.places:
        expected = copy.get_submodule(path_in(copy, path)).bias.grad
        close(made.biases[path.replace(".", "/")].grad, expected, 1e-5)


@every_biased
def test_training_starts_from_the_backbone(family: str) -> None:
    row, extra = ids(6), {"decoder_input_ids": TARGET} if family == "bart" else {}
    with torch.no_grad(), attach(model(family), tokenizer(), BitFit()) as prompted:
        found = logits(prompted, row)[0]
        prompted.detach()
        assert torch.equal(found, model(family)(input_ids=row, **extra).logits[0])


def test_the_count_of_bert() -> None:
    """N (7 d + f) + d: four of attention, d and f of the feed-forward, two of norms, and the embedding's norm."""
    feed = 37
    made = build(model("bert"), tokenizer(), BitFit())
    assert sum(p.numel() for p in made.parameters()) == LAYERS * (7 * HIDDEN + feed) + HIDDEN
    headed = build(model("bert", head="sequence"), tokenizer(), BitFit())
    assert headed.places.keys() == made.places.keys()  # without the pooler


def test_the_models_own_biases_stay_in_their_places() -> None:
    backbone = model("bert")
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    made = moved("bert")
    with attach(backbone, tokenizer(), made) as prompted:
        inner = backbone.get_submodule("bert.encoder.layer.0.output.dense")
        with prompted.calling((0,)):
            assert torch.equal(inner.bias, made.biases["encoder/layer/0/output/dense"])
        assert torch.equal(inner.bias, before["bert.encoder.layer.0.output.dense.bias"])
        assert torch.equal(dict(inner.named_parameters())["bias"], before["bert.encoder.layer.0.output.dense.bias"])
        assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
    assert type(inner) is torch.nn.Linear


@pytest.mark.parametrize("family", ["t5", "llama", "qwen3", "gemma3", "modernbert"])
def test_a_backbone_without_biases_is_refused(family: str) -> None:
    with pytest.raises(SoftPromptError, match="it has no biases to train; use method lora") as error:
        attach(model(family), tokenizer(), BitFit())
    assert "\n" not in str(error.value)
