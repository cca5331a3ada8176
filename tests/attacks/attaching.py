"""The edges of attaching: twice, out of order, copied, moved, resized, wrapped, compiled, dropped, interrupted."""

from __future__ import annotations

import copy
import gc
import hashlib
import io
import itertools
import pickle
import threading
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import peft
import pytest
import torch
from torch import nn

from softprompt.attached.attach import attach
from softprompt.attached.model import PromptedModel
from softprompt.errors import SoftPromptError

from ..shared.models import fresh, ids, tokenizer
from ..shared.prompts import producer

Edge = Callable[[Any], Any]  # given a model; see `attempt`

TITLE = "edges of attaching"
PROMISE = "each works or is refused in one line, and the backbone is bit-equal after"
TESTS = ["tests/attacks/test_attaching.py"]


def measure(tick: Callable[[int], Any]) -> dict[str, int]:
    """Try every edge on four families."""
    counts = {"edges tried": 0, "worked": 0, "refused in one line": 0, "other ends": 0, "backbones changed": 0}
    for family in ("bert", "t5", "llama", "gpt2"):
        for edge in EDGES:
            refused, same = attempt(edge, family)
            counts["edges tried"] += 1
            counts["other ends" if refused is None else "refused in one line" if refused else "worked"] += 1
            counts["backbones changed"] += not same
        tick(1)
    return counts


def attempt(edge: Edge, family: str) -> tuple[str | None, bool]:
    """The refusal (empty where it works, None for any other end), and whether the backbone is as it was.

    An edge may change the model as its user would; what it then returns is a model that was changed alike and never
    attached to.
    """
    backbone = fresh(family)
    alike, told = backbone, ""
    before, configuration = state(backbone), backbone.config.to_dict()
    try:
        alike = edge(backbone) or backbone
    except SoftPromptError as error:
        told = str(error) if "\n" not in str(error) else None  # type: ignore[assignment]
    except Exception:
        traceback.print_exc()
        told = None  # type: ignore[assignment]
    gc.collect()
    if alike is not backbone:
        before, configuration = state(alike), alike.config.to_dict()
    return told, state(backbone) == before and backbone.config.to_dict() == configuration


def state(backbone: nn.Module) -> dict[str, Any]:
    """All of a model that a prompt could touch."""
    digest = hashlib.sha256()
    for name, value in sorted(backbone.state_dict().items()):
        digest.update(name.encode() + value.contiguous().view(torch.uint8).numpy().tobytes())
    return {
        "bytes": digest.hexdigest(),
        "names": [name for name, _ in backbone.named_parameters()],
        "requires_grad": [parameter.requires_grad for parameter in backbone.parameters()],
        "gradients": [parameter.grad is None for parameter in backbone.parameters()],
        "training": [module.training for module in backbone.modules()],
        "classes": [type(module) for module in backbone.modules()],
        "hooks": [
            [len(module.__dict__[name]) for name in module.__dict__ if name.endswith("_hooks")]
            for module in backbone.modules()
        ],
        "attributes": [sorted(module.__dict__) for module in backbone.modules()],
        "checkpointing": [getattr(module, "gradient_checkpointing", None) for module in backbone.modules()],
        "attention": backbone.config._attn_implementation,
        "generation": backbone.generation_config.to_dict() if backbone.can_generate() else None,
    }


def on(backbone: Any, method: str) -> PromptedModel:
    """The backbone with a prompt."""
    return attach(backbone, tokenizer(), producer(backbone, method))


def asked(target: Any) -> Any:
    """The logits of a model, attached or not."""
    given = {"input_ids": ids(5)}
    if target.config.is_encoder_decoder:
        given["decoder_input_ids"] = ids(3)
    with torch.no_grad():
        return target(**given).logits


def twice(backbone: Any) -> None:
    """Two attached models, and one detached twice."""
    with on(backbone, "capt") as one, on(backbone, "p_tuning_v2") as other:
        alone = asked(one)
        other.detach()
        other.detach()
        assert torch.equal(asked(one), alone)


def any_order(backbone: Any) -> None:
    """Three attached models, detached in each order."""
    bare = asked(backbone)
    for order in itertools.permutations(range(3)):
        open_ones = [on(backbone, method) for method in ("p_tuning_v2", "lora", "prompt_tuning")]
        wanted = [asked(one) for one in open_ones]
        for place, index in enumerate(order):
            open_ones[index].detach()
            for left in order[place + 1 :]:
                assert torch.equal(asked(open_ones[left]), wanted[left])
            assert torch.equal(asked(backbone), bare)


def halved(backbone: Any) -> Any:
    """The precision changes while a prompt is attached."""
    other = copy.deepcopy(backbone).bfloat16()
    with on(backbone, "prompt_tuning") as prompted:
        backbone.bfloat16()
        assert torch.isfinite(asked(prompted)).all()
    return other


def halved_under_weights(backbone: Any) -> Any:
    """The precision changes under trained weights."""
    other = copy.deepcopy(backbone).bfloat16()
    with on(backbone, "full_finetuning") as prompted:
        backbone.bfloat16()
        assert torch.isfinite(asked(prompted)).all()
    return other


def resized(backbone: Any) -> Any:
    """The vocabulary grows into the virtual ids."""
    other = copy.deepcopy(backbone)
    torch.manual_seed(0)
    other.resize_token_embeddings(120)
    with on(backbone, "prompt_tuning") as prompted:
        torch.manual_seed(0)
        backbone.resize_token_embeddings(120)
        with pytest.raises(SoftPromptError, match="resized from 100 to 120"):
            asked(prompted)
    with on(backbone, "prompt_tuning") as again:
        assert asked(again).shape[-1] == 120
    return other


def layer_replaced(backbone: Any) -> None:
    """A layer is another one than that which the prompt works at."""
    with on(backbone, "deep_prompt") as prompted:
        layers = next(one for one in prompted.anatomy.body.modules() if isinstance(one, nn.ModuleList))
        own = layers[1]
        layers[1] = copy.deepcopy(own)
        try:
            asked(prompted)
        finally:
            layers[1] = own


def peft_afterwards(backbone: Any) -> None:
    """PEFT wraps the model while a prompt is attached, and unwraps it before or after it is detached."""
    flags = [parameter.requires_grad for parameter in backbone.parameters()]
    with on(backbone, "capt") as prompted:
        alone = asked(prompted)
        wrapped = _lora(backbone)
        asked(prompted)
        wrapped.unload()
        assert torch.equal(asked(prompted), alone)
    for parameter, flag in zip(backbone.parameters(), flags, strict=True):
        parameter.requires_grad_(flag)
    backbone.__dict__.pop("_hf_peft_config_loaded", None)
    backbone.__dict__.pop("peft_config", None)


def peft_before(backbone: Any) -> None:
    """A model that PEFT wraps is attached to: what it answers is what the model with the adapter folded in answers."""
    wrapped = _lora(copy.deepcopy(backbone))
    before, flags = asked(wrapped), [parameter.requires_grad for parameter in wrapped.parameters()]
    merged = copy.deepcopy(wrapped).merge_and_unload()
    with on(wrapped, "capt") as prompted, on(merged, "capt") as other:
        torch.testing.assert_close(asked(prompted), asked(other))
        assert torch.equal(asked(wrapped), before)
    assert torch.equal(asked(wrapped), before)
    assert [parameter.requires_grad for parameter in wrapped.parameters()] == flags


def _lora(backbone: Any) -> Any:
    kinds = {"llama": ["q_proj"], "gpt2": ["c_attn"], "bert": ["query"], "t5": ["q"]}
    family = backbone.config.model_type
    options = {"target_modules": kinds[family], "fan_in_fan_out": family == "gpt2", "init_lora_weights": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT asks transformers by a name that is going away
        return peft.get_peft_model(backbone, peft.LoraConfig(**options))


def data_parallel(backbone: Any) -> None:
    """A wrapper of torch's around the model."""
    on(nn.DataParallel(backbone), "capt")


def attached_itself(backbone: Any) -> None:
    """An attached model in the place of a backbone."""
    with on(backbone, "capt") as prompted:
        attach(prompted, tokenizer(), producer(backbone, "capt"))


def compiled(backbone: Any) -> None:
    """What torch.compile made of a model."""
    attach(torch.compile(copy.deepcopy(backbone), backend="eager"), tokenizer(), producer(backbone, "capt"))


def compiled_in_place(backbone: Any) -> None:
    """A model that compiles itself."""
    backbone.compile(backend="eager")
    try:
        on(backbone, "capt")
    finally:
        del backbone._compiled_call_impl


def compiled_while_attached(backbone: Any) -> None:
    """A backbone that compiles itself under its prompt."""
    with on(backbone, "capt") as prompted:
        backbone.compile(backend="eager")
        try:
            asked(prompted)
        finally:
            del backbone._compiled_call_impl


def copied(backbone: Any) -> None:
    """A copy of the backbone, and of the attached model, while it is attached; both stand for themselves."""
    bare, before = asked(backbone), state(backbone)
    for method in ("p_tuning_v2", "lora", "full_finetuning"):
        prompted = on(backbone, method)
        wanted, other, both = asked(prompted), copy.deepcopy(backbone), copy.deepcopy(prompted)
        assert state(other) == before
        assert torch.equal(asked(other), bare)
        prompted.detach()
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.zero_()
        assert torch.equal(asked(both), wanted)
        assert both.backbone is not backbone
        assert torch.equal(asked(both.detach()), bare)


def pickled(backbone: Any) -> None:
    """The backbone is pickled, and saved whole by torch, while something is attached."""
    before = state(backbone)
    for method in ("p_tuning_v2", "full_finetuning"):
        with on(backbone, method):
            other = pickle.loads(pickle.dumps(backbone))
            file = io.BytesIO()
            torch.save(backbone, file)
        file.seek(0)
        assert state(other) == before == state(torch.load(file, weights_only=False))


def pickled_whole(backbone: Any) -> None:
    """The attached model is pickled."""
    with on(backbone, "capt") as prompted:
        pickle.dumps(prompted)


def saved_whole(backbone: Any) -> None:
    """The attached model is saved whole by torch."""
    with on(backbone, "capt") as prompted:
        torch.save(prompted, io.BytesIO())


def dropped(backbone: Any) -> None:
    """Nobody detaches."""
    asked(on(backbone, "p_tuning_v2"))


def broken_off(backbone: Any) -> None:
    """An interruption in the middle of a pass, and an error, leave no call open."""
    for error in (KeyboardInterrupt, RuntimeError):
        with on(backbone, "p_tuning_v2") as prompted:
            wanted, layer = asked(prompted), prompted.anatomy.layers[-1]

            def stop(*_: Any, error: type[BaseException] = error) -> None:
                raise error

            handle = layer.register_forward_hook(stop)
            try:
                asked(prompted)
            except error:
                handle.remove()
            assert not prompted.is_running
            assert torch.equal(asked(prompted), wanted)


def attached_in_a_call(backbone: Any) -> None:
    """Another prompt is attached, called and detached while a call is open."""
    with on(backbone, "capt") as prompted:
        wanted = asked(prompted)
        with on(backbone, "prompt_tuning") as other:
            alone = asked(other)
        with prompted.calling((0,)):
            with on(backbone, "prompt_tuning") as other:
                assert torch.equal(asked(other), alone)
            assert prompted.is_running
        assert torch.equal(asked(prompted), wanted)


def detached_in_a_call(backbone: Any) -> None:
    """A call would wait for its own end."""
    with on(backbone, "capt") as prompted, prompted.calling((0,)):
        prompted.detach()


def removed_in_a_call(backbone: Any) -> None:
    """So it would where its prompt is removed."""
    with on(backbone, "capt") as prompted, prompted.calling((0,)):
        prompted.remove("prompt")


def changed_from_another_thread(backbone: Any) -> None:
    """Adding, removing and detaching wait for a call that runs in another thread."""
    prompted, more = on(backbone, "capt"), producer(backbone, "prompt_tuning")
    begun, go = threading.Event(), threading.Event()

    def call() -> None:
        with prompted.calling((0,)):
            begun.set()
            go.wait(30)

    for change in (lambda: prompted.add("more", more), lambda: prompted.remove("more"), prompted.detach):
        caller, changer = threading.Thread(target=call), threading.Thread(target=change)
        caller.start()
        begun.wait(30)
        changer.start()
        changer.join(0.05)
        assert changer.is_alive()
        go.set()
        for thread in (caller, changer):
            thread.join(30)
            assert not thread.is_alive()
        begun.clear()
        go.clear()


def in_inference_mode(backbone: Any) -> None:
    """Parameters that were made in inference mode answer, but cannot train."""
    with torch.inference_mode():
        other = copy.deepcopy(backbone)
    before = asked(other)
    with on(other, "capt") as prompted, torch.inference_mode():
        asked(prompted)
    assert torch.equal(asked(other), before)
    with on(other, "capt") as prompted:
        prompted.train()


def without_memory(backbone: Any) -> None:
    """Parameters on torch's `meta` device."""
    attach(copy.deepcopy(backbone).to("meta"), tokenizer(), producer(backbone, "prompt_tuning"))


def with_flags_of_its_own(backbone: Any) -> Any:
    """A model that trains, partly, with parts that rest."""
    for place, (parameter, module) in enumerate(zip(backbone.parameters(), backbone.modules(), strict=False)):
        parameter.requires_grad_(place % 2 == 0)
        module.training = place % 3 == 0
    other = copy.deepcopy(backbone)
    first, second = on(backbone, "capt"), on(backbone, "lora")
    assert not any(module.training for module in backbone.modules())
    first.train()
    assert not any(module.training for module in backbone.modules())
    first.detach()
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    second.detach()
    return other


EDGES: tuple[Edge, ...] = (
    twice, any_order, halved, halved_under_weights, resized, layer_replaced, peft_afterwards, peft_before,
    data_parallel, attached_itself, compiled, compiled_in_place, compiled_while_attached, copied, pickled,
    pickled_whole, saved_whole, dropped, broken_off, attached_in_a_call, detached_in_a_call, removed_in_a_call,
    changed_from_another_thread, in_inference_mode, without_memory, with_flags_of_its_own,
)  # fmt: skip
