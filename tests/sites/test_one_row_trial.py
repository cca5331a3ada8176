"""Encoder batches that run as one row: each row as it is alone, no column of padding, and only where a trial agrees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForMaskedLM, BertConfig

from softprompt.attached.attach import attach
from softprompt.attached.model import PromptedModel
from softprompt.backbones.onednn import few
from softprompt.methods import method as method_of
from softprompt.sites import hooks
from softprompt.sites.one_row import in_one_row
from softprompt.sites.producer import View

from ..shared.models import ENCODERS, HEADS, HIDDEN, LAYERS, VOCABULARY, ids, model, padded, tokenizer
from ..shared.prompts import attached, close, logits, producer, tiny

ROWS = [ids(length, seed) for length, seed in ((20, 1), (4, 2), (9, 3), (5, 3), (1, 4), (13, 5), (7, 6))]
BANK = [("prompt_tuning", 3), ("deep_prompt", 2), ("capt", 1), ("p_tuning_v2", 4), ("capt", 3), ("p_tuning", 2)]
PROMPTS = (2, 0, 3, 2, 1, 4, 5)


@pytest.fixture
def sharing(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Counts the rows of the batches that ran as one row."""
    counted: list[int] = []

    def counting(*args: Any) -> Any:
        counted.append(len(args[2]))
        return in_one_row(*args)

    with monkeypatch.context() as patch:
        patch.setattr(hooks, "in_one_row", counting)
        yield counted


def gradients(prompted: PromptedModel, outputs: list[Tensor]) -> list[Tensor]:
    """Of a loss in which every number counts."""
    prompted.zero_grad()
    whole = torch.cat(outputs)
    (whole * torch.linspace(-1, 1, whole.numel()).view_as(whole)).mean().backward()
    return [parameter.grad.clone() for parameter in prompted.prompts.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("family", ENCODERS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_rows_of_several_prompts_equal_each_alone(family: str, side: str, sharing: list[int]) -> None:
    batch, mask = padded(ROWS, side)
    backbone = model(family)
    named = {
        f"{place} {name}": producer(backbone, method_of(name, num_virtual_tokens=count), seed=place)
        for place, (name, count) in enumerate(BANK)
    }
    with attach(backbone, tokenizer(), named) as prompted:
        sharing.clear()
        together = logits(prompted, batch, mask, prompts=PROMPTS)
        found = gradients(prompted, together)
        assert sharing == [len(ROWS)]
        alone = [logits(prompted, row, prompts=[prompt])[0] for row, prompt in zip(ROWS, PROMPTS, strict=True)]
        assert len(sharing) == 1
        for one, other in zip(together, alone, strict=True):
            close(one, other, 1e-5)
        for one, other in zip(found, gradients(prompted, alone), strict=True):
            close(one, other, 1e-5)


@pytest.mark.parametrize("method", ["lora", "adapter", "bitfit", "ia3", "idpg", "residual_prompt", "lpt"])
@pytest.mark.parametrize("family", ["bert", "llama"])
def test_every_kind_of_method_gives_each_row_what_it_has_alone(family: str, method: str, sharing: list[int]) -> None:
    batch, mask = padded(ROWS, "left")
    options = {} if family == "bert" else {"use_cache": False}
    with tiny(family, method) as prompted:
        sharing.clear()
        together = logits(prompted, batch, mask, **options)
        found = gradients(prompted, together)
        assert sharing == [len(ROWS)]
        alone = [logits(prompted, row, **options)[0] for row in ROWS]
        for one, other in zip(together, alone, strict=True):
            close(one, other, 1e-5)
        for one, other in zip(found, gradients(prompted, alone), strict=True):
            close(one, other, 1e-5)


@pytest.mark.parametrize("placement", ["front", "after_bos", "end"])
@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("method", ["capt", "prompt_tuning", "idpg"])
def test_virtual_tokens_stand_where_they_stand_alone(
    method: str, shift: bool, placement: Any, sharing: list[int]
) -> None:
    """Whether they take positions, and whichever of the text's columns condition them."""
    batch, mask = padded(ROWS, "left")
    told = mask.bool() & (torch.arange(batch.shape[1]) % 3 != 1)
    with tiny("roberta", method) as prompted, torch.no_grad():
        prompted.prompts[0].placement, prompted.prompts[0].shift = placement, shift
        prompted.slots[0] = replace(prompted.slots[0], placement=placement, shift=shift)
        sharing.clear()
        together = logits(prompted, batch, mask, conditioning_mask=told)
        assert sharing == [len(ROWS)]
        for row, own, seen, one in zip(ROWS, told, mask.bool(), together, strict=True):
            close(one, logits(prompted, row, conditioning_mask=own[seen][None])[0], 1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_in_sixteen_bits(family: str, sharing: list[int]) -> None:
    batch, mask = padded(ROWS, "right")
    with tiny(family, "capt", dtype=torch.bfloat16) as prompted, torch.no_grad():
        sharing.clear()
        states = prompted.states(input_ids=batch, attention_mask=mask)
        assert sharing == [len(ROWS)]
        for row, one, seen in zip(ROWS, states, mask.bool(), strict=True):
            torch.testing.assert_close(one[seen], prompted.states(input_ids=row)[0], rtol=0.05, atol=0.05)


@pytest.fixture
def widths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Columns of the batches that ran as one row."""
    counted: list[int] = []

    def counting(*args: Any) -> Any:
        made = in_one_row(*args)
        assert isinstance(made["input_ids"], Tensor)
        counted.append(made["input_ids"].numel())
        return made

    monkeypatch.setattr(hooks, "in_one_row", counting)
    return counted


@pytest.mark.parametrize(("method", "more"), [("capt", 1), ("p_tuning_v2", 0), ("lora", 0)])
def test_no_column_of_padding_runs(method: str, more: int, widths: list[int]) -> None:
    batch, mask = padded(ROWS, "right")
    with tiny("bert", method) as prompted, torch.no_grad():
        widths.clear()
        prompted.states(input_ids=batch, attention_mask=mask)
    assert widths == [sum(row.shape[1] + more for row in ROWS)]


def test_who_listens_hears_the_rows(widths: list[int]) -> None:
    """A user's hook is told of `(rows, columns)`, as ever; transformers' own hooks are there once states were shown."""
    batch, mask = padded(ROWS, "right")
    heard: list[tuple[int, ...]] = []
    with tiny("bert", "capt") as prompted, torch.no_grad():
        prompted(input_ids=batch, attention_mask=mask, output_hidden_states=True)
        widths.clear()
        own = prompted.states(input_ids=batch, attention_mask=mask)
        assert len(widths) == 1
        handle = prompted.anatomy.layers[1].register_forward_hook(
            lambda module, args, out: heard.append((out if isinstance(out, Tensor) else out[0]).shape)
        )
        found = prompted.states(input_ids=batch, attention_mask=mask)
        handle.remove()
    assert len(widths) == 1
    assert heard == [(len(ROWS), 1 + batch.shape[1], HIDDEN)]
    close(own[mask.bool()], found[mask.bool()], 1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_stands_for_the_rows_first_token(side: str) -> None:
    """Heads that read column 0 find it, as they do where rows run as they are."""
    batch, mask = padded(ROWS, side)
    with tiny("bert", "capt") as prompted, torch.no_grad():
        states = prompted.states(input_ids=batch, attention_mask=mask)
        for row, one, seen in zip(ROWS, states, mask.bool(), strict=True):
            first = prompted.states(input_ids=row)[0, 0]
            close(one[~seen], first.expand(int((~seen).sum()), -1), 1e-5)


@pytest.mark.parametrize("head", ["sequence", "token"])
def test_heads_of_transformers_read_what_they_read_alone(head: str, sharing: list[int]) -> None:
    batch, mask = padded(ROWS, "right")
    with tiny("bert", "capt", head) as prompted, torch.no_grad():
        sharing.clear()
        found = prompted(input_ids=batch, attention_mask=mask).logits
        assert sharing == [len(ROWS)]
        for row, one in zip(ROWS, found, strict=True):
            close(one[: row.shape[1]] if head == "token" else one, prompted(input_ids=row).logits[0], 1e-5)


def test_chosen_columns(sharing: list[int]) -> None:
    batch, mask = padded(ROWS, "right")
    chosen = torch.stack([mask.sum(-1) - 1, torch.zeros(len(ROWS), dtype=torch.long), mask.sum(-1) // 2], 1)
    words = torch.tensor([12, 30, 31])
    with tiny("bert", "capt") as prompted:
        sharing.clear()
        some = prompted(input_ids=batch, attention_mask=mask, positions=chosen, vocabulary=words).logits
        assert sharing == [len(ROWS)]
        rows = [prompted(input_ids=row).logits[0, own][:, words] for row, own in zip(ROWS, chosen, strict=True)]
        for one, other in zip(some, rows, strict=True):
            close(one, other, 1e-5)
        alike = gradients(prompted, [*some]), gradients(prompted, rows)
        for one, other in zip(*alike, strict=True):
            close(one, other, 1e-5)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_units_are_in_the_order_of_the_rows(family: str, sharing: list[int]) -> None:
    """Whoever looks at what a prompt makes of each row finds it at that row's place."""
    batch, mask = padded(ROWS, "left")
    options = {} if family == "bert" else {"use_cache": False}
    seen: list[list[int]] = []
    with tiny(family, "capt") as prompted, torch.no_grad():
        own = prompted.prompts[0].rewrite

        def rewrite(layer: int, view: View) -> Tensor:
            seen.append(view.text.sum(-1).tolist())
            return own(layer, view)

        prompted.prompts[0].rewrite = rewrite
        sharing.clear()
        prompted.states(input_ids=batch, attention_mask=mask, **options)
    assert sharing
    assert seen[0] == [row.shape[1] for row in ROWS]


@pytest.mark.parametrize("family", ["bert", "llama", "gpt2"])
def test_filler_behind_the_rows_changes_nothing(family: str, widths: list[int]) -> None:
    batch, mask = padded([*ROWS, *ROWS, ids(5, 9)], "right")
    options = {} if family == "bert" else {"use_cache": False}
    with tiny(family, "capt") as prompted:
        widths.clear()
        own = logits(prompted, batch, mask, **options)
        expected = gradients(prompted, own)
        prompted._hooks.few_widths = True
        found = logits(prompted, batch, mask, **options)
        for one, other in zip(own, found, strict=True):
            close(one, other, 1e-5)
        for one, other in zip(expected, gradients(prompted, found), strict=True):
            close(one, other, 1e-5)
    assert widths == [138, few(138)]
    assert few(138) > 138


def test_rows_of_one_length_run_as_they_are(sharing: list[int]) -> None:
    with tiny("bert", "capt") as prompted, torch.no_grad():
        sharing.clear()
        prompted.states(input_ids=torch.cat([ids(9, 1), ids(9, 2)]))
    assert not sharing


class Mixing(nn.Module):
    """A layer's output in which neighbours among the columns meet."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, states: Tensor, *args: Any) -> Tensor:
        out: Tensor = self.inner(states + 0.5 * states.roll(1, 1), *args)
        return out


def made() -> Any:
    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=37, max_position_embeddings=64, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(1)
    return AutoModelForMaskedLM.from_config(config, attn_implementation="sdpa").eval()


def mixing() -> Any:
    """Columns meet outside attention, in a module that says nothing of it."""
    model = made()
    layer = model.bert.encoder.layer[1]
    layer.output = Mixing(layer.output)
    return model


def deaf() -> Any:
    """One layer keeps its keywords from its attention."""
    model = made()
    layer = model.bert.encoder.layer[1]
    inner = layer.forward
    layer.forward = lambda states, mask=None, *_, **__: inner(states, mask)
    return model


def counting() -> Any:
    """The body scales its embeddings by how many columns there are."""
    model = made()
    inner = model.bert.embeddings.forward
    model.bert.embeddings.forward = lambda **given: (out := inner(**given)) * out.shape[1] ** 0.5
    return model


@pytest.mark.parametrize("other", [mixing, deaf, counting])
def test_a_body_that_comes_out_otherwise_is_left_alone(other: Any, sharing: list[int]) -> None:
    batch, mask = padded(ROWS, "right")
    with attached(made(), "capt") as prompted, torch.no_grad():
        sharing.clear()
        prompted.states(input_ids=batch, attention_mask=mask)
        assert sharing  # the body itself may
    with attached(other(), "capt") as prompted, torch.no_grad():
        sharing.clear()
        prompted.states(input_ids=batch, attention_mask=mask)
        assert not sharing


def test_the_trial_leaves_no_trace() -> None:
    backbone = made()
    backbone.train()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    state = torch.random.get_rng_state()
    with attach(backbone, tokenizer(), producer(backbone, "capt")):
        pass
    assert backbone.training
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
