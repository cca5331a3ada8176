"""SMoP: the router's choice, its probability, its noise in training only, and the balancing term."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from softprompt.attached.attach import attach, build
from softprompt.methods import SMoP
from softprompt.training.run import Interrupted

from ..shared.by_embeddings import FAMILIES, ROWS, agrees, embedded
from ..shared.models import ids, model, padded, tokenizer
from ..shared.prompts import attached, close, every_family, logits, loss_of, producer, tiny
from ..shared.runs import Interrupting, run

# Noise is drawn anew in every training pass, so that invariants between two of them speak of a router without it.
EXAMPLES = {"smop": {"method": "smop", "num_prompts": 3, "num_virtual_tokens": 2, "router_noise": 0.0}}


def by_hand(table: Tensor, router: Tensor, text: Tensor) -> tuple[int, Tensor]:
    """Which prompt a text `(N, E)` takes, and its rows."""
    gates = (router @ text.mean(0)).softmax(0)
    best = int(gates.argmax())
    return best, gates[best] * table[best]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_equation(family: str) -> None:
    with attached(model(family), SMoP(), seed=2) as prompted:
        made = prompted.prompts[0]
        table, router = made.table.detach(), made.router.detach()
        agrees(prompted, family, [by_hand(table, router, embedded(family, row))[1] for row in ROWS])


@torch.no_grad()
def test_inputs_take_different_prompts() -> None:
    made = producer(model("llama"), SMoP())
    chosen = {by_hand(made.table, made.router, embedded("llama", ids(4, seed)))[0] for seed in range(40)}
    assert chosen == {0, 1, 2, 3}


@torch.no_grad()
def test_answers_do_not_route() -> None:
    """Teacher forcing must not tell the router the answer."""
    row = ids(8)
    labels = torch.full_like(row, -100)
    labels[:, 6:] = row[:, 6:]
    other = row.clone()
    other[:, 6:] = torch.tensor([50, 51])
    with attached(model("llama"), SMoP()) as prompted:
        one = prompted(input_ids=row, labels=labels).logits[:, :6]
        two = prompted(input_ids=other, labels=torch.where(labels < 0, labels, other)).logits[:, :6]
    close(one, two, 1e-6)


@torch.no_grad()
def test_noise_is_relative_and_only_in_training() -> None:
    with attached(model("llama"), SMoP(router_noise=1.0)) as prompted:
        assert torch.equal(logits(prompted, ids(6))[0], logits(prompted, ids(6))[0])
        prompted.train()
        found = [logits(prompted, ids(6))[0] for _ in range(6)]
        assert any(not torch.equal(found[0], other) for other in found[1:])
        prompted.prompts[0].router.zero_()  # noise in proportion to logits of zero is none
        assert torch.equal(logits(prompted, ids(6))[0], logits(prompted, ids(6))[0])


def test_the_balancing_term() -> None:
    """R * sum_j (mean gate of j) (share of the rows that take j), of training passes, given once."""
    with attached(model("t5"), SMoP(num_prompts=3, router_noise=0.0, load_balancing=0.5)) as prompted:
        made = prompted.prompts[0]
        loss_of(prompted, *padded(ROWS, "right")[:1], mask=padded(ROWS, "right")[1])
        assert made.penalty() is None  # not in evaluation
        prompted.train()
        loss_of(prompted, *padded(ROWS, "right")[:1], mask=padded(ROWS, "right")[1])
        gates = torch.stack([(made.router @ embedded("t5", row).mean(0)).softmax(0) for row in ROWS])
        taken = gates.argmax(-1).bincount(minlength=3) / len(ROWS)
        term = made.penalty()
        close(term, 0.5 * 3 * (gates.mean(0) * taken).sum(), 1e-6)
        term.backward()
        assert bool(made.router.grad.any())
        assert made.penalty() is None


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_a_run_with_noise_resumes_bit_for_bit(family: str, tmp_path: Path) -> None:
    file = Path("run") / "prompt" / "prompt.safetensors"
    run(tmp_path / "a", family, SMoP())
    with pytest.raises(Interrupted):
        run(tmp_path / "b", family, SMoP(), progress=Interrupting(3))
    run(tmp_path / "b", family, SMoP(), resume=True)
    assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@every_family
def test_scalars(family: str) -> None:
    """R l e + R e, trained and stored."""
    with tiny(family, SMoP()) as prompted:
        e = prompted.anatomy.embedding_size
        assert sum(p.numel() for p in prompted.parameters() if p.requires_grad) == 4 * 5 * e + 4 * e
        assert sum(t.numel() for t in prompted.prompts[0].stored().values()) == 4 * 5 * e + 4 * e


@torch.no_grad()
def test_first_values() -> None:
    backbone = model("llama")
    made = build(backbone, tokenizer(), SMoP(), seed=1)
    close(made.router @ made.router.T, torch.eye(4), 1e-5)
    every = backbone.get_input_embeddings()(torch.arange(100))
    assert float((made.table[:, :, None] - every).abs().sum(-1).min(-1).values.max()) < 1e-6
    drawn = build(backbone, tokenizer(), SMoP(init="normal", num_virtual_tokens=40), seed=1)
    assert 0.95 < float(drawn.table.std()) < 1.05
    with attach(backbone, tokenizer(), {"one": made, "two": drawn}) as prompted, torch.no_grad():
        together = logits(prompted, torch.cat([ids(6, 1), ids(6, 2)]), prompts=["one", "two"])
        close(together[1], logits(prompted, ids(6, 2), prompts="two")[0])
