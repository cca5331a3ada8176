"""XPrompt: importances by the definition with real masks, what is stored, and pruning nothing is prompt tuning."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from softprompt.attached.attach import attach
from softprompt.errors import SoftPromptError
from softprompt.methods import PromptTuning, XPrompt
from softprompt.methods import method as method_of
from softprompt.methods.xprompt import Pruned

from ..shared.models import ids, model, padded, tokenizer
from ..shared.prompts import call, close, every_family, loss_of, tiny

EXAMPLES = {
    "xprompt": {
        "method": "xprompt",
        "num_virtual_tokens": 4,
        "pieces": 4,
        "token_rates": (0.25, 0.5),
        "piece_rates": (0.5,),
    },
}


def prompt_of(prompted: object) -> Pruned:
    return prompted.prompts[0]  # type: ignore[attr-defined, no-any-return]


@every_family
def test_nothing_pruned_is_prompt_tuning(family: str) -> None:
    options = {"num_virtual_tokens": 5}
    rows, mask = padded([ids(7, 1), ids(4, 2)], "right")
    with attach(model(family), tokenizer(), PromptTuning(**options), seed=3) as plain, torch.no_grad():
        expected = call(plain, rows, mask).logits
    with attach(model(family), tokenizer(), XPrompt(**options), seed=3) as prompted, torch.no_grad():
        assert torch.equal(call(prompted, rows, mask).logits, expected)


@every_family
def test_pruned_tokens_are_gone_and_pruned_pieces_are_zero(family: str) -> None:
    """Against a plain table of the rows that are left, with zeros written into it by hand."""
    method = XPrompt(num_virtual_tokens=6, pieces=4, kept=(1, 4))
    with attach(model(family), tokenizer(), method, seed=3) as prompted, torch.no_grad():
        prompt = prompt_of(prompted)
        prompt.mask[0, 2] = False
        width = prompt.table.shape[1]
        mine = call(prompted, ids(6)).logits
        assert prompt.kept_scalars() == 2 * width - width // 4
        stored = prompt.stored()["table"]
    with attach(model(family), tokenizer(), PromptTuning(num_virtual_tokens=6), seed=3) as plain:
        table = plain.prompts[0].table.detach()[[1, 4]].clone()
    table[0, width // 2 : width // 2 + width // 4] = 0
    assert torch.equal(stored, table)
    with attach(model(family), tokenizer(), PromptTuning(num_virtual_tokens=2)) as plain, torch.no_grad():
        plain.prompts[0].table.copy_(table)
        close(mine, call(plain, ids(6)).logits, 1e-5)


@every_family
def test_importances_are_the_gradients_of_real_masks(family: str) -> None:
    """gamma and zeta as variables, by automatic differentiation, row by row: I = mean |dL/dmask|."""
    rows = [ids(6, 1), ids(8, 2)]
    with tiny(family, "xprompt") as prompted:
        prompt = prompt_of(prompted)
        table, pieces = prompt.table.detach(), prompt.mask.shape[1]
        prompt.mask[1, 0] = False
        left = prompt.mask.float()
        means: list[list[Tensor]] = [[], []]
        for row in rows:
            gamma = torch.ones(len(table), requires_grad=True)
            zeta = torch.ones(len(table), pieces, requires_grad=True)
            spread = (zeta * left).repeat_interleave(table.shape[1] // pieces, dim=1)
            prompt.embed = lambda view, g=gamma, s=spread: table * s * g[:, None]  # type: ignore[method-assign]
            own = torch.autograd.grad(loss_of(prompted, row), [gamma, zeta])
            for kept, one in zip(means, own, strict=True):
                kept.append(one.abs())
        del prompt.embed
        tokens, parts = [], []
        for row in rows:
            (gradient,) = torch.autograd.grad(loss_of(prompted, row), [prompt.table])
            tokens.append(prompt.token_importance(gradient))
            parts.append(prompt.piece_importance(gradient))
        close(torch.stack(tokens).mean(0), torch.stack(means[0]).mean(0), 1e-5)
        close(torch.stack(parts).mean(0), torch.stack(means[1]).mean(0), 1e-5)
        assert float(torch.stack(parts)[:, 1, 0].abs().max()) == 0


@every_family
def test_scalars(family: str) -> None:
    """k * d trained (METHODS: 13.1); the masks are implicit."""
    with tiny(family, XPrompt(num_virtual_tokens=7)) as prompted:
        trained = [p for p in prompted.parameters() if p.requires_grad]
        assert sum(p.numel() for p in trained) == 7 * prompted.anatomy.embedding_size
        assert prompt_of(prompted).mask.shape == (7, 16)


def test_a_width_that_the_pieces_do_not_divide() -> None:
    prompt = Pruned(torch.ones(2, 10), 4, "front")
    assert prompt.piece_of.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]
    prompt.mask[0, 1:] = False
    assert prompt.kept_scalars() == 3 + 10


def test_options_from_the_command_line_and_wrong_ones() -> None:
    assert method_of("xprompt", token_rates="0.1, 0.9", kept="1,3").token_rates == (0.1, 0.9)
    assert method_of("xprompt", kept="1,3").kept == (1, 3)
    for wrong in ({"token_rates": ()}, {"token_rates": "1.0"}, {"piece_rates": "all"}, {"pieces": 0}):
        with pytest.raises(SoftPromptError, match=next(iter(wrong))):
            method_of("xprompt", **wrong)
    with pytest.raises(SoftPromptError, match="ranks from 0 to 3"):
        attach(model("llama"), tokenizer(), XPrompt(num_virtual_tokens=4, kept=(4,)))
