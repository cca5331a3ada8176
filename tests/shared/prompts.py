"""Every method with random vectors that matter, attached to a tiny model."""

from __future__ import annotations

import ast
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from softprompt.attached.attach import attach, build
from softprompt.attached.model import PromptedModel
from softprompt.errors import SoftPromptError
from softprompt.methods import Method
from softprompt.methods import method as method_of
from softprompt.sites.producer import Producer

from .models import CORE, ENCODER_DECODERS, ENCODERS, model, tokenizer


def _examples() -> dict[str, dict[str, Any]]:
    """The literal `EXAMPLES` of every `tests/methods/test_*.py`: small set-ups of a method by a name of their own.

    Each is a dict of options with `method` (its name) and, where it serves some families only, `families`.
    They are read without importing the files, which import this one.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((Path(__file__).parents[1] / "methods").glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "EXAMPLES":
                found.update(ast.literal_eval(node.value))
    return found


_EXAMPLES = _examples()
FAMILIES: dict[str, tuple[str, ...]] = {name: tuple(given.pop("families", CORE)) for name, given in _EXAMPLES.items()}
METHODS: dict[str, Method] = {name: method_of(given.pop("method"), **given) for name, given in _EXAMPLES.items()}
# These run over every family by default, one of each site; the others over one, and over all with `make test-slow`.
EVERYWHERE = {"capt", "prompt_tuning", "p_tuning_v2", "deep_prompt", "full_finetuning", "spt"}
TRAINED = tuple(name for name, method in METHODS.items() if method.trains())
GENERATIVE = tuple(family for family in CORE if family not in ENCODERS)


def near(method: str, *, trains: bool = False) -> tuple[str, ...]:
    """The families that a method's tests run over by default.

    Args:
        method: its name in `METHODS`.
        trains: of tests that make whole training runs, seconds each: of those of `EVERYWHERE` SPT alone meets all.
    """
    served = FAMILIES[method]
    # One a kind of backbone, and of these the one that the name falls on: all methods together meet all kinds.
    kinds = tuple(family for family in ("bert", "t5", "llama") if family in served) or served
    if method in EVERYWHERE:
        return kinds if trains and method != "spt" else served
    return (kinds[zlib.crc32(method.encode()) % len(kinds)],)


every_method = pytest.mark.parametrize("method", list(METHODS))
every_trained = pytest.mark.parametrize("method", TRAINED)
every_family = pytest.mark.parametrize("family", CORE)
every_generative = pytest.mark.parametrize("family", GENERATIVE)
every_decoder = pytest.mark.parametrize("family", [f for f in GENERATIVE if f not in ENCODER_DECODERS])


def producer(backbone: Any, method: str | Method, seed: int = 0) -> Producer:
    """A prompt whose every parameter is random and matters."""
    made = build(backbone, tokenizer(), METHODS[method] if isinstance(method, str) else method, seed=seed)
    generator = torch.Generator().manual_seed(seed + 7)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if not parameter.any() or name.startswith("project"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return made


@contextmanager
def attached(backbone: Any, method: str | Method, seed: int = 0, **options: Any) -> Iterator[PromptedModel]:
    """A model with one prompt; full fine-tuning's weights are moved off the backbone's."""
    with attach(backbone, tokenizer(), producer(backbone, method, seed), **options) as prompted:
        if method == "full_finetuning":
            with torch.no_grad():
                for parameter in prompted.prompts.parameters():
                    parameter.add_(torch.randn_like(parameter) * 0.02)
        yield prompted


@contextmanager
def tiny(family: str, method: str | Method, head: str = "lm", seed: int = 0, **options: Any) -> Iterator[PromptedModel]:
    """A tiny model of a family with one prompt."""
    with attached(model(family, head, **options), method, seed) as prompted:
        yield prompted


TARGET = torch.tensor([[2, 11, 12, 13]])  # what a decoder is fed in tests of encoder-decoders


def call(prompted: PromptedModel, ids: Tensor, mask: Tensor | None = None, **options: Any) -> Any:
    """One forward pass; an encoder-decoder's decoder reads TARGET."""
    if prompted.anatomy.kind == "encoder-decoder" and "labels" not in options:
        options.setdefault("decoder_input_ids", TARGET.expand(ids.shape[0], -1))
    return prompted(input_ids=ids, attention_mask=mask, **options)


def logits(prompted: PromptedModel, ids: Tensor, mask: Tensor | None = None, **options: Any) -> list[Tensor]:
    """Each row's logits at its own tokens (an encoder-decoder's: at TARGET's), shapes `(n, V)`."""
    out = call(prompted, ids, mask, **options).logits
    if mask is None or prompted.anatomy.kind == "encoder-decoder":
        return list(out)
    return [row[seen.bool()] for row, seen in zip(out, mask, strict=True)]


def close(one: Tensor, other: Tensor, tolerance: float = 1e-4) -> None:
    """The same up to rounding, for logits of size about ten."""
    torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def loss_of(prompted: PromptedModel, ids: Tensor, **options: Any) -> Tensor:
    """A loss in which every logit counts."""
    out: Tensor = call(prompted, ids, **options).logits
    weight = torch.linspace(-1, 1, out.numel()).view_as(out)
    return (out.float() * weight).mean()


def graded(prompted: PromptedModel) -> list[bool]:
    """For each layer of the body whether a gradient flows through what it makes, in one pass."""
    found: list[bool] = []
    handles = [
        layer.register_forward_hook(
            lambda module, args, out: found.append((out if torch.is_tensor(out) else out[0]).requires_grad)
        )
        for layer in dict.fromkeys(prompted.anatomy.layers)
    ]
    call(prompted, torch.arange(20, 25)[None])
    for handle in handles:
        handle.remove()
    return found


def fails(match: str) -> Any:
    return pytest.raises(SoftPromptError, match=match)
