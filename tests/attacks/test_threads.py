"""Calls in several threads and tasks give the bits of each alone, and what belongs to the process is refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from transformers import TextIteratorStreamer

from softprompt.attached.attach import attach
from softprompt.backbones.backbone import Backbone
from softprompt.backbones.fingerprint import fingerprint
from softprompt.readouts.build import build_readout
from softprompt.sites.asking import _ASKERS, current
from softprompt.sites.held import _HELD
from softprompt.storage.prompt import Prompt
from softprompt.tasks import Task
from softprompt.training.options import TrainingOptions
from softprompt.training.setup import readout_spec

from ..shared.models import ids, model, padded, tokenizer
from ..shared.prompts import METHODS, attached, call, loss_of, producer, tiny
from .threads import attack, together


@pytest.mark.parametrize("family", ["bert", "t5", "llama", "gpt2"])
def test_eight_threads(family: str) -> None:
    counts = attack(family, rounds=2)
    assert counts.pop("calls compared") > 60
    assert counts.pop("rounds of attach and detach") == 10
    assert set(counts.values()) == {0}
    assert not _HELD
    assert not _ASKERS


def test_threads_of_one_attached_model() -> None:
    """Rows of two prompts, in as many threads as there are rows."""
    backbone = model("llama")
    two = {"one": producer(backbone, "capt"), "other": producer(backbone, "prompt_tuning", 1)}
    with attach(backbone, tokenizer(), two) as prompted, torch.no_grad():
        wanted = {name: call(prompted, ids(5), prompts=name).logits for name in two}
        same: list[bool] = []

        def ask(name: str) -> None:
            same.extend(torch.equal(call(prompted, ids(5), prompts=name).logits, wanted[name]) for _ in range(10))

        faults: list[BaseException] = []
        assert together([partial(ask, name) for name in two for _ in range(4)], faults) == 0
    assert (same, faults) == ([True] * 80, [])


@pytest.mark.parametrize("method", ["lora", "adapter", "full_finetuning", "p_tuning_v2"])
def test_checkpoints_recompute_in_their_call_in_another_thread(method: str) -> None:
    """On an accelerator the backward pass runs in threads of autograd's own, which know of no call."""
    with tiny("llama", method) as prompted:
        found = []
        for checkpointing in (False, True):
            if checkpointing:
                prompted.activation_checkpointing_enable()
            prompted.train()
            prompted.zero_grad()
            loss = loss_of(prompted, ids(5), use_cache=False)
            backward = threading.Thread(target=_alone, args=(loss.backward,))
            backward.start()
            backward.join()
            found.append([p.grad.clone() for p in prompted.prompts.parameters() if p.grad is not None])
            assert not any(module.training for module in prompted.backbone.modules())
        assert found[0]
        assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def _alone(work: Callable[[], object]) -> None:
    """On one core, as the forward pass: with several, sums come in another order, and to other bits."""
    torch.set_num_threads(1)
    work()


def test_a_training_prompts_dropout_is_not_the_models() -> None:
    backbone = model("bert", dropout=0.5)
    bare = backbone(input_ids=ids(6)).logits
    with attached(backbone, "capt", dropout=True) as prompted:
        prompted.train()
        assert not torch.equal(call(prompted, ids(6)).logits, call(prompted, ids(6)).logits)
        assert torch.equal(backbone(input_ids=ids(6)).logits, bare)


@pytest.mark.parametrize("method", ["lora", "bitfit", "adapter", "full_finetuning", "ia3"])
def test_a_bare_call_knows_nothing_of_trained_weights(method: str) -> None:
    backbone = model("bert")
    bare = backbone(input_ids=ids(6)).logits
    with attached(backbone, method) as prompted:
        with torch.no_grad():
            for parameter in prompted.prompts.parameters():
                parameter.add_(0.1)
        assert not torch.equal(call(prompted, ids(6)).logits, bare)
        assert torch.equal(backbone(input_ids=ids(6)).logits, bare)


def test_a_streamer_in_a_thread() -> None:
    with tiny("llama", "prompt_tuning") as prompted:
        batch, mask = padded([ids(5)], "left")
        options = {"max_new_tokens": 4, "do_sample": False}
        wanted = prompted.generate(batch, attention_mask=mask, **options)
        streamer = TextIteratorStreamer(tokenizer(), skip_prompt=True, timeout=30)
        given = {"inputs": batch, "attention_mask": mask, "streamer": streamer, **options}
        thread = threading.Thread(target=prompted.generate, kwargs=given)
        thread.start()
        text = "".join(streamer)
        thread.join()
        assert text.split() == tokenizer().decode(wanted[0, 5:]).split()


def test_tasks_of_one_thread() -> None:
    backbone = model("llama")

    async def ask(prompted: Any) -> Any:
        with prompted.calling((0,)):
            await asyncio.sleep(0)
            assert current().owner is prompted
            return backbone(input_ids=ids(4)).logits

    async def both(*models: Any) -> Any:
        return await asyncio.gather(*map(ask, models))

    with attached(backbone, "capt") as one, attached(backbone, "prompt_tuning") as other, torch.no_grad():
        found = asyncio.run(both(one, other))
        assert torch.equal(found[0], asyncio.run(both(one))[0])
        assert torch.equal(found[1], asyncio.run(both(other))[0])


def test_predict_from_eight_threads() -> None:
    """Loaded prompts of several methods on one backbone, each asked by two threads at once."""
    backbone = model("bert")
    task = Task(name="two", template="{sentence} {mask}", labels={"0": "w10", "1": "w11"}, fields=("sentence",))
    texts = [f"w{20 + index} w{40 + index}" for index in range(6)]
    prompts = []
    for name in ("capt", "prompt_tuning", "lora", "p_tuning_v2"):
        made, spec = producer(backbone, name), readout_spec(backbone, task, METHODS[name], TrainingOptions())
        readout = build_readout(task, Backbone(backbone, tokenizer()), made, spec)
        known = fingerprint(backbone)
        prompts.append(Prompt(METHODS[name], made, task, readout, spec, known, backbone, tokenizer()))
    wanted = [prompt.outcomes(texts, batch_size=4) for prompt in prompts]
    same: list[bool] = []

    def ask(index: int) -> None:
        same.extend(prompts[index].outcomes(texts, batch_size=4) == wanted[index] for _ in range(3))

    faults: list[BaseException] = []
    assert together([partial(ask, index % 4) for index in range(8)], faults) == 0
    assert (same, faults) == ([True] * 24, [])
