"""Where padding moves rows in the bare model, a padded batch gives each row what it gets alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    DynamicCache,
)

from softprompt.attached.attach import attach
from softprompt.errors import SoftPromptError
from softprompt.methods import IDPG, CaPT, Method, PromptTuning, PTuningV2

from ..shared.models import ids, padded, tokenizer
from ..shared.prompts import call, close, producer
from ..shared.unusual import unusual

FAMILIES = ("convbert", "mobilebert", "nystromformer", "roformer", "led")
METHODS: dict[str, Method] = {
    "prompt_tuning": PromptTuning(num_virtual_tokens=3, init="random_uniform", init_bound=1.0),
    "capt": CaPT(),
    "idpg": IDPG(num_virtual_tokens=2),
    "p_tuning_v2": PTuningV2(num_virtual_tokens=3, init_std=1.0),
}
ROWS = (7, 4, 7, 2)  # tokens of each row: lengths that occur once and twice
every_side = pytest.mark.parametrize("side", ["left", "right"])


def headed(family: str) -> Any:
    return unusual(family, AutoModelForSeq2SeqLM if family == "led" else AutoModelForMaskedLM)


def rows() -> list[Tensor]:
    return [ids(count, seed) for seed, count in enumerate(ROWS)]


def own(out: Tensor, mask: Tensor, prompted: Any) -> list[Tensor]:
    """Each row of `out` at its own tokens; a decoder's all."""
    if prompted.anatomy.kind == "encoder-decoder":
        return list(out)
    return [row[seen.bool()] for row, seen in zip(out, mask, strict=True)]


def served(family: str) -> list[str]:
    return [name for name in METHODS if name != "p_tuning_v2" or family == "mobilebert"]


@every_side
@pytest.mark.parametrize(("family", "method"), [(f, m) for f in FAMILIES for m in served(f)])
@torch.no_grad()
def test_each_row_gets_what_it_gets_alone(family: str, method: str, side: str) -> None:
    backbone = headed(family)
    batch, mask = padded(rows(), side)
    with attach(backbone, tokenizer(), producer(backbone, METHODS[method])) as prompted:
        together = own(call(prompted, batch, mask).logits, mask, prompted)
        for got, row in zip(together, rows(), strict=True):
            close(got, call(prompted, row, torch.ones_like(row)).logits[0])


@every_side
@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_rows_of_several_prompts_do_too(family: str, side: str) -> None:
    backbone = headed(family)
    made = {name: producer(backbone, METHODS[name], seed=place) for place, name in enumerate(served(family))}
    names = (list(made) * 2)[: len(ROWS)]
    batch, mask = padded(rows(), side)
    with attach(backbone, tokenizer(), made) as prompted:
        together = own(call(prompted, batch, mask, prompts=names).logits, mask, prompted)
        for got, row, name in zip(together, rows(), names, strict=True):
            close(got, call(prompted, row, torch.ones_like(row), prompts=name).logits[0])
        one, two = ids(5, 1), ids(5, 2)  # without padding of the user's: prompts of other lengths bring filler
        out = call(prompted, torch.cat([one, two]), prompts=["prompt_tuning", "idpg"]).logits
        close(out[1], call(prompted, two, prompts="idpg").logits[0])


@every_side
@torch.no_grad()
def test_poolers_and_heads_read_the_texts_first_column(side: str) -> None:
    batch, mask = padded(rows(), side)
    for auto, name in ((AutoModelForSequenceClassification, "logits"), (AutoModel, "pooler_output")):
        backbone = unusual("mobilebert", auto)
        with attach(backbone, tokenizer(), producer(backbone, METHODS["prompt_tuning"])) as prompted:
            together = prompted(input_ids=batch, attention_mask=mask)[name]
            for got, row in zip(together, rows(), strict=True):
                close(got, prompted(input_ids=row, attention_mask=torch.ones_like(row))[name][0])


@every_side
@torch.no_grad()
def test_states_maps_and_chosen_columns_are_those_of_each_row(side: str) -> None:
    batch, mask = padded(rows(), side)
    backbone = unusual("mobilebert", AutoModelForMaskedLM, attention="eager")
    with attach(backbone, tokenizer(), producer(backbone, METHODS["prompt_tuning"])) as prompted:
        shown = {"output_hidden_states": True, "output_attentions": True}
        out = prompted(input_ids=batch, attention_mask=mask, **shown)
        last = torch.tensor([[int(seen.nonzero().max())] for seen in mask])
        chosen = prompted(input_ids=batch, attention_mask=mask, positions=last).logits
        for place, row in enumerate(rows()):
            alone = prompted(input_ids=row, attention_mask=torch.ones_like(row), **shown)
            seen = mask[place].bool()
            for got, wanted in zip(out.hidden_states, alone.hidden_states, strict=True):
                close(got[place, seen] / wanted.abs().max(), wanted[0] / wanted.abs().max())
            close(chosen[place, 0], alone.logits[0, -1])
            close(out.attentions[1][place].sum(), alone.attentions[1].sum())
        assert out.attentions[1].shape[2:] == (3 + max(ROWS),) * 2


@pytest.mark.parametrize("checkpoints", [False, True])
@pytest.mark.parametrize(("family", "method"), [("mobilebert", "capt"), ("convbert", "idpg"), ("led", "prompt_tuning")])
def test_losses_and_gradients_are_those_of_the_rows(family: str, method: str, checkpoints: bool) -> None:
    auto = AutoModelForSeq2SeqLM if family == "led" else AutoModelForTokenClassification
    backbone = unusual(family, auto)
    batch, mask = padded(rows(), "right")
    labels = [torch.arange(4)[None] + place for place in range(len(ROWS))] if family == "led" else None
    targets = [row % 2 for row in rows()] if labels is None else labels
    together = torch.cat(targets) if labels else padded([one - 100 for one in targets], "right")[0] % 102 - 100
    if labels is None:
        together = torch.where(mask.bool(), batch % 2, -100)
    if checkpoints and not backbone.supports_gradient_checkpointing:
        pytest.skip("transformers has no checkpoints for it")
    with attach(backbone, tokenizer(), producer(backbone, METHODS[method])) as prompted:
        trained = [one for one in prompted.parameters() if one.requires_grad]
        prompted.train()
        if checkpoints:
            prompted.gradient_checkpointing_enable({"use_reentrant": False})
        loss = prompted(input_ids=batch, attention_mask=mask, labels=together).loss
        got = torch.autograd.grad(loss, trained)
        if checkpoints:
            prompted.gradient_checkpointing_disable()
        parts = [
            prompted(input_ids=row, attention_mask=torch.ones_like(row), labels=target).loss * target.numel()
            for row, target in zip(rows(), targets, strict=True)
        ]
        whole = sum(parts) / sum(target.numel() for target in targets)
        close(loss, whole)
        for one, other in zip(got, torch.autograd.grad(whole, trained), strict=True):
            close(one, other)


@torch.no_grad()
def test_virtual_tokens_that_stand_in_the_ids_are_moved_along() -> None:
    backbone = headed("convbert")
    with attach(backbone, tokenizer(), producer(backbone, METHODS["prompt_tuning"])) as prompted:
        first = prompted.slots[0].base
        placed = [torch.cat([row[:, :1], torch.arange(first, first + 3)[None], row[:, 1:]], 1) for row in rows()]
        batch, mask = padded(placed, "left")
        together = own(prompted(input_ids=batch, attention_mask=mask).logits, mask, prompted)
        for got, row in zip(together, placed, strict=True):
            close(got, prompted(input_ids=row).logits[0])


@torch.no_grad()
def test_a_batch_whose_padding_moves_nothing_runs_once() -> None:
    """RoFormer's columns are positions: padding behind the text is attention's to hide, padding before it is not."""
    backbone = headed("roformer")
    ran: list[int] = []
    with attach(backbone, tokenizer(), producer(backbone, METHODS["prompt_tuning"])) as prompted:
        hook = prompted.anatomy.layers[0].register_forward_hook(lambda *_: ran.append(1))
        for side, runs in (("right", 1), ("left", 3)):
            ran.clear()
            batch, mask = padded(rows(), side)
            prompted(input_ids=batch, attention_mask=mask)
            assert len(ran) == runs
        hook.remove()


@every_side
@torch.no_grad()
def test_blocks_of_sparse_attention_lie_by_a_rows_own_columns(side: str) -> None:
    backbone = unusual("big_bird")
    long = [ids(count, seed) for seed, count in enumerate((30, 41, 30, 35))]
    batch, mask = padded(long, side)
    with attach(backbone, tokenizer(), producer(backbone, METHODS["capt"])) as prompted:
        out = prompted(input_ids=batch, attention_mask=mask)
        for got, row in zip(own(out.last_hidden_state, mask, prompted), long, strict=True):
            close(got, prompted(input_ids=row, attention_mask=torch.ones_like(row)).last_hidden_state[0])
        assert out.pooler_output.shape == (len(long), backbone.config.hidden_size)


def test_a_cache_holds_rows_of_one_length() -> None:
    backbone = unusual("roformer", AutoModelForCausalLM, is_decoder=True)
    batch, mask = padded(rows(), "left")
    with attach(backbone, tokenizer(), PromptTuning(num_virtual_tokens=2)) as prompted:
        assert prompted(input_ids=batch, attention_mask=mask).past_key_values is None
        with pytest.raises(SoftPromptError, match="rows run apart by their lengths, and one cache"):
            prompted(input_ids=batch, attention_mask=mask, past_key_values=DynamicCache())
