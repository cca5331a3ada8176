"""IDPG equals two passes of the plain model written down row by row."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import gelu

from softprompt.attached.attach import attach, build
from softprompt.backbones.anatomy import read_anatomy
from softprompt.errors import SoftPromptError
from softprompt.methods import IDPG
from softprompt.methods.parts.generators import PHM

from ..shared.models import CORE, HIDDEN, LAYERS, ids, model, padded, tokenizer
from ..shared.prompts import TARGET, attached, close, logits

EXAMPLES = {
    "idpg": {"method": "idpg", "num_virtual_tokens": 2, "bottleneck": 8, "dropout": 0.0},
    "m_idpg_phm": {
        "method": "idpg", "num_virtual_tokens": 2, "depth": "all", "network": "phm", "phm_dim": 4, "dropout": 0.0,
        "families": ["bert", "roberta", "t5", "bart", "gpt2", "llama", "qwen3", "gemma3"],
    },
}  # fmt: skip

ROWS = [ids(7, 1), ids(4, 2)]
K = 2


def whole(map_: Any) -> Tensor:
    """A map as one matrix, `(inputs, outputs)`; a PHM's by torch's Kronecker product."""
    if isinstance(map_, PHM):
        return sum(torch.kron(a, b) for a, b in zip(map_.left, map_.right, strict=True))
    return map_.weight.T


def prompt(producer: Any, layer: int, vector: Tensor) -> Tensor:
    """P of a sentence vector `(H,)`: `(k, E)`."""
    inner = gelu(vector @ whole(producer.maps.down) + producer.maps.bias)
    return producer.tasks[layer] + (inner @ whole(producer.maps.up)).view(K, -1)


def by_hand(family: str, producer: Any, row: Tensor) -> Tensor:
    """One row's logits at its text: the first pass, the embeddings joined, the layers' additions by a hook."""
    backbone = model(family)
    part = read_anatomy(backbone)
    at = 1 if family == "bert" else 0  # where the prompt begins
    token = 0 if family == "bert" else row.shape[1] - 1
    slots = slice(at, at + K)
    words = part.embedding(row)
    made = prompt(producer, 0, part.body(input_ids=row).last_hidden_state[0, token])
    given = torch.cat([words[:, :at], made[None], words[:, at:]], dim=1)

    def add(layer: int, states: Tensor) -> Tensor:
        place = token if family == "bert" else token + K
        added = prompt(producer, layer, states[0, place])
        return torch.cat([states[:, :at], states[:, slots] + added, states[:, at + K :]], dim=1)

    handles = [
        part.layers[layer].register_forward_pre_hook(
            lambda module, args, kwargs, layer=layer: ((add(layer, args[0]), *args[1:]), kwargs), with_kwargs=True
        )
        for layer in producer.hidden_layers
    ]
    extra = {"decoder_input_ids": TARGET} if family == "t5" else {}
    out = backbone(inputs_embeds=given, **extra).logits[0]
    for handle in handles:
        handle.remove()
    return out if family == "t5" else torch.cat([out[:at], out[at + K :]])


@pytest.mark.parametrize("family", ["t5", "llama", "bert"])
@pytest.mark.parametrize("network", ["dnn", "phm"])
@pytest.mark.parametrize("depth", ["input", "all"])
def test_the_equations(family: str, network: str, depth: str) -> None:
    method = IDPG(num_virtual_tokens=K, network=network, depth=depth, bottleneck=8, phm_dim=4)
    with attached(model(family), method) as prompted, torch.no_grad():
        producer = prompted.prompts[0]
        for parameter in producer.parameters():
            parameter.mul_(4.0)
        found = {side: logits(prompted, *padded(ROWS, side)) for side in ("left", "right")}
    with torch.no_grad():
        for row, left, right in zip(ROWS, found["left"], found["right"], strict=True):
            expected = by_hand(family, producer, row)
            close(right, expected, 1e-5)
            close(left, expected, 1e-5)


@pytest.mark.parametrize("family", CORE)
@pytest.mark.parametrize("network", ["dnn", "phm"])
def test_scalars(family: str, network: str) -> None:
    n, m, k = 4, 8, 3
    made = build(model(family), tokenizer(), IDPG(num_virtual_tokens=k, bottleneck=m, network=network, phm_dim=n))
    width = read_anatomy(model(family)).embedding_size
    maps = HIDDEN * m + m * k * width
    if network == "phm":
        maps = 2 * n**3 + maps // n
    assert sum(value.numel() for value in made.stored().values()) == maps + m + k * width
    if family != "albert":
        every = build(model(family), tokenizer(), IDPG(num_virtual_tokens=k, bottleneck=m, depth="all"))
        assert sum(p.numel() for p in every.parameters()) == HIDDEN * m + m * k * width + m + LAYERS * k * width


def test_a_row_without_conditioning_text() -> None:
    with attached(model("bert"), IDPG(num_virtual_tokens=K)) as prompted, torch.no_grad():
        none = torch.zeros(1, 5, dtype=torch.bool)
        assert torch.isfinite(prompted(input_ids=ids(5), conditioning_mask=none).logits).all()


def test_what_is_refused() -> None:
    with pytest.raises(SoftPromptError, match="cannot serve family 'albert': its embeddings are narrower"):
        attach(model("albert"), tokenizer(), IDPG(depth="all"))
    with pytest.raises(SoftPromptError, match="phm_dim=5 must divide the widths 32 and 16"):
        attach(model("llama"), tokenizer(), IDPG(network="phm", phm_dim=5))
