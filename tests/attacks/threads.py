"""Eight threads on one backbone: bare calls, attached models of several methods, generation, attaching in a loop."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from softprompt.attached.attach import attach
from softprompt.sites.producer import Producer

from ..shared.models import ids, model, padded, tokenizer
from ..shared.prompts import FAMILIES, producer

TITLE = "threads"
PROMISE = "calls of the bare model and of attached ones, in any thread, give the bits of each alone"
TESTS = ["tests/attacks/test_threads.py"]

METHODS = ("prompt_tuning", "p_tuning_v2", "capt", "lora", "bitfit", "adapter", "full_finetuning")
PATIENCE = 120  # seconds after which a thread counts as locked


def measure(tick: Callable[[int], Any]) -> dict[str, int]:
    """Attack four families with eight threads each."""
    counts = {"calls compared": 0, "calls that differed": 0, "rounds of attach and detach": 0, "errors": 0, "locked": 0}
    for family in ("bert", "t5", "llama", "gpt2"):
        for name, count in attack(family, rounds=20).items():
            counts[name] += count
        tick(1)
    return counts


def attack(family: str, *, rounds: int, methods: tuple[str, ...] = METHODS) -> dict[str, int]:
    """Let eight threads call one backbone, switching as often as Python can, and compare each output with its own.

    One or two threads call the bare model and as many share one attached model, which generates where it can; the
    others attach a method of their own each, call it four times and detach, `rounds` times over.
    """
    backbone, given = model(family), _given(family)
    prompts = {name: producer(backbone, name) for name in methods if family in FAMILIES[name]}
    with torch.no_grad():
        bare, wanted = backbone(**given).logits, {name: _alone(backbone, one, given) for name, one in prompts.items()}
    found: dict[str, list[bool]] = {"same": [], "attached": []}
    faults: list[BaseException] = []

    def calling(ask: Callable[[], Tensor], expected: Tensor) -> Callable[[], None]:
        def run() -> None:
            for _ in range(4 * rounds):
                found["same"].append(torch.equal(ask(), expected))

        return run

    def attaching(name: str) -> Callable[[], None]:
        def run() -> None:
            for _ in range(rounds):
                with attach(backbone, tokenizer(), prompts[name]) as prompted:
                    for _ in range(4):
                        found["same"].append(torch.equal(prompted(**given).logits, wanted[name]))
                found["attached"].append(True)

        return run

    with attach(backbone, tokenizer(), prompts["prompt_tuning"]) as shared:
        jobs = [calling(lambda: backbone(**given).logits, bare)] * 2
        jobs += [attaching(name) for name in list(prompts)[-5:]]
        jobs.append(calling(lambda: shared(**given).logits, wanted["prompt_tuning"]))
        if family != "bert":
            with torch.no_grad():
                text = _generated(shared, given)
            jobs[1] = calling(lambda: _generated(shared, given), text)
        locked = together(jobs, faults)
    with torch.no_grad():
        found["same"].append(torch.equal(backbone(**given).logits, bare))
    return {
        "calls compared": len(found["same"]),
        "calls that differed": found["same"].count(False),
        "rounds of attach and detach": len(found["attached"]),
        "errors": len(faults),
        "locked": locked,
    }


def together(jobs: list[Callable[[], None]], faults: list[BaseException]) -> int:
    """Run jobs in a thread each; what they raise goes to `faults`, and how many have not ended in time is returned."""

    def guarded(job: Callable[[], None]) -> None:
        try:
            with torch.no_grad():
                job()
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=guarded, args=(job,), daemon=True) for job in jobs]
    with switching():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    return sum(thread.is_alive() for thread in threads)


@contextmanager
def switching() -> Iterator[None]:
    """Let Python change threads every ten microseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _given(family: str) -> dict[str, Tensor]:
    batch, mask = padded([ids(6, 1), ids(4, 2)], "left")
    target = {"decoder_input_ids": ids(3).expand(2, -1)} if family == "t5" else {}
    return {"input_ids": batch, "attention_mask": mask, **target}


def _alone(backbone: Any, prompt: Producer, given: dict[str, Tensor]) -> Tensor:
    with attach(backbone, tokenizer(), prompt) as prompted:
        for parameter in prompted.prompts.parameters():  # copies that are the backbone's own would hide a mistake
            parameter.add_(0.01)
        logits: Tensor = prompted(**given).logits
    return logits


def _generated(prompted: Any, given: dict[str, Tensor]) -> Tensor:
    text = {name: value for name, value in given.items() if name != "decoder_input_ids"}
    made: Tensor = prompted.generate(**text, max_new_tokens=3, do_sample=False, repetition_penalty=1.2)
    return made
