"""A call behind the texts of its rows: the same logits and gradients as the whole batch gives, over constants."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from softprompt.attached.attach import attach
from softprompt.attached.model import PromptedModel
from softprompt.methods import IDPG, CaPT, DeepPrompt, LoRA, Method, PromptTuning, PTuning, PTuningV2
from softprompt.sites.kept_room import Room
from softprompt.sites.kept_texts import KeptTexts

from ..shared.models import DECODERS, ids, model, padded, tokenizer
from ..shared.prompts import close, producer
from ..shared.unusual import unusual

METHODS: dict[str, Method] = {
    "prompt_tuning": PromptTuning(num_virtual_tokens=3),
    "p_tuning": PTuning(num_virtual_tokens=3),
    "deep_prompt": DeepPrompt(select="all", num_virtual_tokens=3, init_std=0.5),
}
# Their attention is another's, their positions count the mask, their cache is told its own way.
OTHERS = ("bloom", "mpt", "falcon", "gptj", "gpt_neo", "diffllama", "doge")
LENGTHS = (14, 5, 20, 9)  # longer than a sliding window of 8


def backbone_of(family: str) -> Any:
    return model(family) if family in DECODERS else unusual(family, AutoModelForCausalLM)


def batch_of(prompted: PromptedModel, side: str, lengths: tuple[int, ...] = LENGTHS, tail: int = 3) -> dict[str, Any]:
    """Rows whose virtual tokens stand behind the text, with a few words behind them; two columns of these are read."""
    slots = prompted.slots[0]
    virtual, behind = torch.arange(slots.base, slots.base + slots.count)[None], ids(tail, seed=9)
    rows = [torch.cat([ids(length, seed=place), virtual, behind], 1) for place, length in enumerate(lengths)]
    batch, mask = padded(rows, side)
    ends = (
        torch.tensor([row.shape[1] for row in rows]) if side == "right" else torch.tensor([batch.shape[1]] * len(rows))
    )
    return {"input_ids": batch, "attention_mask": mask, "positions": ends[:, None] + torch.tensor([-2, -1])}


def step(prompted: PromptedModel, given: dict[str, Any]) -> tuple[Tensor, list[Tensor]]:
    """Logits, and the gradients of a loss in which every one of them counts."""
    prompted.zero_grad()
    out = prompted(**given, use_cache=False)
    assert out.get("past_key_values") is None
    (out.logits * torch.linspace(-1, 1, out.logits.numel()).view_as(out.logits)).mean().backward()
    return out.logits.detach(), [one.grad.clone() for one in prompted.prompts.parameters() if one.grad is not None]


def same(found: tuple[Tensor, list[Tensor]], expected: tuple[Tensor, list[Tensor]]) -> None:
    close(found[0], expected[0], 1e-5)
    assert len(found[1]) == len(expected[1]) > 0
    for one, other in zip(found[1], expected[1], strict=True):
        assert float((one - other).norm()) <= 1e-5 * float(other.norm())


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(
    ("family", "name"),
    [(family, name) for family in DECODERS for name in METHODS] + [(one, "prompt_tuning") for one in OTHERS],
)
def test_logits_and_gradients_are_those_of_the_whole_batch(family: str, name: str, side: str) -> None:
    backbone = backbone_of(family)
    with attach(backbone, tokenizer(), producer(backbone, METHODS[name])) as prompted:
        given, kept = batch_of(prompted, side), KeptTexts(Room())
        expected = step(prompted, given)
        with prompted.keeping_texts(kept):
            same(step(prompted, given), expected)  # the texts run in the step
            assert (len(kept), kept.computed) == (0, 4)
            with kept.filling():
                same(step(prompted, given), expected)
            assert (len(kept), kept.computed) == (4, 8)
            same(step(prompted, given), expected)  # and are there
            with torch.no_grad():
                close(prompted(**given, use_cache=False).logits, expected[0], 1e-5)
            assert kept.computed == 8
        assert torch.equal(step(prompted, given)[0], expected[0])  # the model is itself again


@pytest.mark.parametrize("family", DECODERS)
def test_the_frozen_layers_run_the_columns_from_the_prompt_on_alone(family: str) -> None:
    with attach(model(family), tokenizer(), producer(model(family), METHODS["prompt_tuning"])) as prompted:
        given, kept = batch_of(prompted, "right"), KeptTexts(Room())
        with prompted.keeping_texts(kept):
            with kept.filling():
                step(prompted, given)
            widths: list[int] = []
            embedding = prompted.anatomy.embedding
            handle = embedding.register_forward_hook(lambda module, args, out: widths.append(out.shape[1]))
            step(prompted, given)
            handle.remove()
        assert widths == [6]


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2"])
def test_one_row_and_rows_of_which_some_are_kept(family: str) -> None:
    with attach(model(family), tokenizer(), producer(model(family), METHODS["prompt_tuning"])) as prompted:
        one, many, kept = batch_of(prompted, "right", (14,)), batch_of(prompted, "right"), KeptTexts(Room())
        alone, expected = step(prompted, one), step(prompted, many)
        with prompted.keeping_texts(kept):
            with kept.filling():
                same(step(prompted, one), alone)
            same(step(prompted, one), alone)
            kept.computed = 0
            same(step(prompted, many), expected)
            assert kept.computed == 3


def test_what_is_kept_is_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other keys and values give other logits: the text has a part in them."""
    with attach(model("llama"), tokenizer(), producer(model("llama"), METHODS["prompt_tuning"])) as prompted:
        given, kept = batch_of(prompted, "right"), KeptTexts(Room())
        with prompted.keeping_texts(kept), torch.no_grad():
            with kept.filling():
                before = prompted(**given).logits
            monkeypatch.setattr(KeptTexts, "__getitem__", lambda self, text: self._kept[text] + 0.1)
            assert not torch.allclose(prompted(**given).logits, before, atol=1e-2)


def test_another_text_is_another_text() -> None:
    """Nothing is stale: what is kept goes by the ids alone."""
    with attach(model("llama"), tokenizer(), producer(model("llama"), METHODS["prompt_tuning"])) as prompted:
        given, kept = batch_of(prompted, "right"), KeptTexts(Room())
        with prompted.keeping_texts(kept):
            with kept.filling():
                step(prompted, given)
            given["input_ids"][1, 2] = 77
            kept.computed = 0
            changed = step(prompted, given)
            assert kept.computed == 1
        same(changed, step(prompted, given))


def test_no_more_is_kept_than_there_is_room_for() -> None:
    with attach(model("llama"), tokenizer(), producer(model("llama"), METHODS["prompt_tuning"])) as prompted:
        given, token = (
            batch_of(prompted, "right"),
            3 * 2 * 32 * 4 // 2,
        )  # layers, keys and values, K D, bytes, K is half
        expected = step(prompted, given)
        room = Room(memory=19 * token)  # the texts of 14 and of 5 tokens
        kept = KeptTexts(room)
        with prompted.keeping_texts(kept):
            with kept.filling():
                step(prompted, batch_of(prompted, "right", LENGTHS[:2]))
                assert (len(kept), room.left, kept.is_full) == (2, 0, False)
                same(step(prompted, given), expected)
            assert (len(kept), room.left, kept.is_full) == (2, 0, True)
            same(step(prompted, given), expected)


def test_a_text_that_two_rows_have_runs_once() -> None:
    with attach(model("llama"), tokenizer(), producer(model("llama"), METHODS["prompt_tuning"])) as prompted:
        given, kept = batch_of(prompted, "right", (9, 9)), KeptTexts(Room())
        given["input_ids"][1, :9] = given["input_ids"][0, :9]
        expected = step(prompted, given)
        with prompted.keeping_texts(kept):
            same(step(prompted, given), expected)
        assert kept.computed == 1


@pytest.mark.parametrize(("lengths", "keeps"), [((4, 2), True), ((7, 5), False)])  # nine columns turn otherwise
def test_a_row_that_is_too_long_for_its_rotary_angles_runs_whole(lengths: tuple[int, ...], keeps: bool) -> None:
    """LongRoPE turns all of its columns by others, so that the text has not the keys that it has alone."""
    backbone = unusual("phi3", AutoModelForCausalLM)
    with attach(backbone, tokenizer(), producer(backbone, PromptTuning(num_virtual_tokens=1))) as prompted:
        given, kept = batch_of(prompted, "right", lengths), KeptTexts(Room())
        expected = step(prompted, given)
        with prompted.keeping_texts(kept), kept.filling():
            same(step(prompted, given), expected)
        assert bool(len(kept)) == keeps


_FRONT = {"in front": True}


@pytest.mark.parametrize(
    ("family", "method", "how"),
    [
        ("llama", METHODS["prompt_tuning"], _FRONT),
        ("llama", METHODS["prompt_tuning"], {"columns": [[2, 3]] * 4}),  # of the text
        ("llama", METHODS["prompt_tuning"], {"positions": None}),  # every column is wanted
        ("llama", METHODS["prompt_tuning"], {"output_hidden_states": True}),
        ("llama", METHODS["prompt_tuning"], {"dropout": True}),
        ("llama", METHODS["prompt_tuning"], {"checkpointing": True}),
        ("llama", IDPG(num_virtual_tokens=3), {}),  # made of the text
        ("llama", CaPT(init_std=0.5), {}),
        ("llama", PTuningV2(num_virtual_tokens=3, init_std=0.5), _FRONT),  # every column sees a prefix
        ("llama", LoRA(rank=2), _FRONT),  # the text's keys are trained
        ("gemma3n_text", METHODS["prompt_tuning"], {}),  # layers that take others' keys
        ("lfm2", METHODS["prompt_tuning"], {}),  # a convolution
        ("roformer", METHODS["prompt_tuning"], {}),  # padding moves its rows
    ],
    ids=str,
)
def test_what_the_text_hangs_on_or_shows_runs_whole(family: str, method: Method, how: dict[str, Any]) -> None:
    options = {"is_decoder": True} if family == "roformer" else {}
    backbone = model(family) if family in DECODERS else unusual(family, AutoModelForCausalLM, **options)
    with attach(backbone, tokenizer(), producer(backbone, method), dropout="dropout" in how) as prompted:
        given, kept = batch_of(prompted, "right"), KeptTexts(Room())
        if how is _FRONT or prompted.prompts[0].footprint.count != 3:
            batch, mask = padded([ids(length, seed=length) for length in LENGTHS], "right")
            given = {"input_ids": batch, "attention_mask": mask, "positions": mask.sum(-1, keepdim=True) - 1}
        if "columns" in how:
            given["positions"] = torch.tensor(how["columns"])
        given |= {name: value for name, value in how.items() if name in ("positions", "output_hidden_states")}
        if "checkpointing" in how:
            prompted.activation_checkpointing_enable()
        prompted.train("dropout" in how or "checkpointing" in how)
        with prompted.keeping_texts(kept), kept.filling():
            step(prompted, given)
        assert (len(kept), kept.computed) == (0, 0)
        prompted.activation_checkpointing_disable()
