"""LoPA equals its equation, written down row by row with the plain model's own sentence state."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from softprompt.attached.attach import attach, build
from softprompt.backbones.anatomy import read_anatomy
from softprompt.methods import LoPA, PromptTuning

from ..shared.by_embeddings import FAMILIES, ROWS, agrees
from ..shared.models import CORE, HIDDEN, ids, model, padded, tokenizer
from ..shared.prompts import TARGET, attached, call, close, logits, loss_of

EXAMPLES = {
    "lopa": {"method": "lopa", "num_virtual_tokens": 3, "rank": 2, "bottleneck": 8, "dropout": 0.0},
}


def instance(family: str, row: Tensor) -> Tensor:
    """h(x), `(H,)`: the state of [CLS], or of the last token."""
    part = read_anatomy(model(family))
    return part.body(input_ids=row).last_hidden_state[0, 0 if part.kind == "encoder" else -1]


def factor(head: Any, h: Tensor, rank: int) -> Tensor:
    """W' tanh(W h + b) + b', row by row of the factor."""
    made = head.up.weight @ torch.tanh(head.down.weight @ h + head.down.bias) + head.up.bias
    return torch.stack(made.split(rank))


def by_hand(producer: Any, h: Tensor, rank: int) -> Tensor:
    """P(x) entry by entry, `(k, E)`."""
    u, v = factor(producer.rows, h, rank), factor(producer.columns, h, rank)
    gates = torch.stack([torch.stack([1 / (1 + (-(one @ other)).exp()) for other in v]) for one in u])
    return producer.shared * gates


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("k", "rank"), [(5, 1), (3, 4)])
def test_the_equation(family: str, k: int, rank: int) -> None:
    """In batches padded on either side, too."""
    with attached(model(family), LoPA(num_virtual_tokens=k, rank=rank, bottleneck=6)) as prompted, torch.no_grad():
        producer = prompted.prompts[0]
        for parameter in producer.parameters():
            parameter.mul_(5.0)
        prompts = [by_hand(producer, instance(family, row), rank) for row in ROWS]
        assert all((one - other).abs().max() > 1e-3 for one, other in zip(prompts, prompts[1:], strict=False))
        agrees(prompted, family, prompts)


@pytest.mark.parametrize("family", CORE)
def test_scalars(family: str) -> None:
    k, r, m = 3, 2, 8
    made = build(model(family), tokenizer(), LoPA(num_virtual_tokens=k, rank=r, bottleneck=m))
    e = read_anatomy(model(family)).embedding_size
    expected = k * e + 2 * (HIDDEN * m + m) + (m + 1) * k * r + (m + 1) * e * r
    assert sum(p.numel() for p in made.parameters()) == expected
    assert sum(value.numel() for value in made.stored().values()) == expected


@pytest.mark.parametrize("family", ["bert", "t5", "llama"])
def test_training_starts_near_prompt_tuning(family: str) -> None:
    """The gates start near a half, and Z_S at twice the rows: at a half the two are one."""
    prompts = (PromptTuning(num_virtual_tokens=4), LoPA(num_virtual_tokens=4))
    rows, made = (build(model(family), tokenizer(), one, seed=3) for one in prompts)
    assert torch.equal(made.shared, 2 * rows.table)
    made.rows.up.weight.data.zero_()
    found = []
    for one in (rows, made):
        with attach(model(family), tokenizer(), one) as prompted, torch.no_grad():
            found.append(call(prompted, ids(5)).logits)
    close(*found, 1e-5)


@torch.no_grad()
def test_an_answer_has_no_part_in_the_gate() -> None:
    """On a decoder h(x) is the last state of the conditioning text, whatever labels stand behind it."""
    with attached(model("llama"), LoPA(num_virtual_tokens=2, bottleneck=8)) as prompted:
        made: list[Tensor] = []
        producer = prompted.prompts[0]
        embed = producer.embed
        producer.embed = lambda view: made.append(embed(view)) or made[-1]
        row = ids(7, 1)
        labels = row.clone()
        labels[:, :5] = -100
        other = row.clone()
        other[:, 5:] = ids(2, 9)
        for given in (row, other):
            prompted(input_ids=given, labels=torch.where(labels == -100, labels, given))
        prompted(input_ids=row[:, :5])
    assert torch.equal(made[0], made[1])
    close(made[0], made[2], 1e-5)


def test_dropout_is_on_in_training_alone_and_each_head_draws_its_own() -> None:
    with attached(model("llama"), LoPA(num_virtual_tokens=2, bottleneck=8, dropout=0.5)) as prompted:
        producer = prompted.prompts[0]
        seen: dict[str, Tensor] = {}
        for name in ("rows", "columns"):
            getattr(producer, name).down.register_forward_pre_hook(
                lambda module, args, name=name: seen.update({name: args[0].detach()})
            )
        with torch.no_grad():
            one, other = (logits(prompted.eval(), *padded(ROWS, "left"))[0] for _ in range(2))
        assert torch.equal(one, other)
        assert torch.equal(seen["rows"], seen["columns"])
        prompted.train()
        loss_of(prompted, ids(6)).backward()
        assert not torch.equal(seen["rows"] == 0, seen["columns"] == 0)
        assert all(parameter.grad is not None for parameter in producer.parameters())


@torch.no_grad()
def test_a_row_without_conditioning_text() -> None:
    with attached(model("t5"), LoPA(num_virtual_tokens=2)) as prompted:
        none = torch.zeros(1, 5, dtype=torch.bool)
        out = prompted(input_ids=ids(5), conditioning_mask=none, decoder_input_ids=TARGET)
        assert torch.isfinite(out.logits).all()
