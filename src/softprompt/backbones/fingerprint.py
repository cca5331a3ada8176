"""What a frozen model is: family, sizes and a hash over its weights.

A prompt fits the numbers of one model, and nothing in its shapes shows that it was trained on another: the
fingerprint is recorded with every prompt and checked on loading. The hash covers all weights, in full. Six
decisions:

- Numbers are hashed after rounding to bfloat16. A bfloat16 checkpoint loaded in float32 (an exact up-cast),
  and a float32 checkpoint loaded in bfloat16, are then the same backbone, and a prompt of the one loads on
  the other; outputs differ by rounding alone. A fine-tuned copy differs: some of its weights cross a border.
- The body and the head are hashed apart. `weights` covers the way from ids to the last hidden state, so a
  model with and without a language-model head have the same; a pooler counts as head. Tied weights count
  once, with the body.
- float16 rounds otherwise than bfloat16, and loses small numbers. What `load_backbone` rounds to float16 keeps the
  hashes of the checkpoint: they are remembered under those of the rounded numbers, so that a model that changes later
  is another one all the same.
- Names are the body's own, and sorted: hooks, device, `requires_grad` and attached prompts change nothing.
- Of quantised layers codes and scales count as they are, wherever they are kept (`backbones/packed.py`).
- Adapters of PEFT that are active in its layers count as folded into the weights (`backbones/folded.py`).

The hash of a model is remembered. That its numbers are still the same is seen by a faster sum over every byte of them
(XXH3, at the speed of memory): versions and addresses of tensors would miss what is written through `.data`, as
adapters are merged and averages kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from transformers import PreTrainedModel
from xxhash import xxh3_128

from softprompt.backbones.bare import Pair, bare
from softprompt.backbones.compat import TIED
from softprompt.backbones.folded import Folded, adapters_of, folded
from softprompt.backbones.packed import beside_parameters, inner_numbers
from softprompt.backbones.remembered import Remembered
from softprompt.backbones.resting import Resting, is_sharded, where_they_rest
from softprompt.backbones.structure import weight_of
from softprompt.backbones.within import inner
from softprompt.errors import SoftPromptError

# Numbers hashed at a time: 32 MB in bfloat16, so that a large table is never copied whole.
_PIECE = 1 << 24
# What must agree, from the plainest difference to the finest.
_COMPARED = ("family", "hidden_size", "num_layers", "vocab_size")
# Digests of checkpoints by those of their numbers in float16.
_EXACT: dict[str, str] = {}
_KNOWN: Remembered[tuple[str, str]] = Remembered()
Weight: TypeAlias = Tensor | Folded | Resting


class Fingerprint(BaseModel):
    """What a frozen model is.

    Attributes:
        family: `config.model_type`.
        architecture: the model's class.
        hidden_size: width of the residual stream.
        num_layers: layers of the body (an encoder-decoder's encoder).
        vocab_size: rows of the input embedding.
        num_parameters: all weights, tied ones once.
        dtype: as loaded; told, never compared.
        weights: sha256 over the body's weights.
        head: sha256 over weights that stand outside the body; empty where there are none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    family: str
    architecture: str
    hidden_size: int
    num_layers: int
    vocab_size: int
    num_parameters: int
    dtype: str
    weights: str
    head: str


def fingerprint(model: nn.Module | Pair) -> Fingerprint:
    """Take a model's fingerprint; the model is read, never changed.

    The hash over its weights is computed once, and anew as soon as any number of them is another.

    Args:
        model: a transformers model, with prompts attached or not, or a `Backbone`.

    Raises:
        SoftPromptError: weights have no numbers (device `meta`) or are sharded, or an adapter's are offloaded.
    """
    own = bare(model)
    part = inner(own)
    config = part.config.get_text_config()
    weights, weights_of_head = digests(own)
    return Fingerprint(
        family=config.model_type,
        architecture=type(own).__name__,
        hidden_size=config.hidden_size,
        num_layers=config.num_hidden_layers,
        vocab_size=weight_of(part.get_input_embeddings()).shape[0],
        num_parameters=num_parameters(own),
        dtype=str(part.dtype).removeprefix("torch."),
        weights=_EXACT.get(weights, weights),
        head=_EXACT.get(weights_of_head, weights_of_head),
    )


def num_parameters(model: nn.Module | Pair) -> int:
    """Scalars of a model's body and head, tied weights once; shapes are enough (device `meta`)."""
    own = bare(model)
    body, head = (folded(part, own) for part in _parts(own))
    return sum(weight.numel() for weight in (*body.values(), *head.values()))


def digests(model: PreTrainedModel) -> tuple[str, str]:
    """sha256 over the numbers of a model's body and of its head as they are; empty where there is no head."""
    body, head = _parts(model)
    elsewhere = where_they_rest(model)

    def digest(part: dict[str, Tensor]) -> str:
        return _digest(_found(folded(part, model), elsewhere)) if part else ""

    return _KNOWN.of(model, _numbers(model, (body, head)), lambda: (digest(body), digest(head)))


def exact_numbers(model: PreTrainedModel) -> str:
    """A fast sum over every byte of a model's weights and buffers, in their own types, and what its adapters are.

    Raises:
        SoftPromptError: weights have no numbers, or are sharded.
    """
    body, head, adapters = _numbers(model, _parts(model))
    buffers = _sum({name: one for name, one in model.named_buffers() if not one.is_meta})
    return f"{(body + head + buffers).hex()} {adapters}"


def _numbers(model: PreTrainedModel, parts: Sequence[dict[str, Tensor]]) -> tuple[bytes, bytes, str]:
    elsewhere = where_they_rest(model)
    body, head = (_sum(_found(part, elsewhere)) for part in parts)
    return body, head, adapters_of(model)


def rounded_from(exact: tuple[str, str], rounded: tuple[str, str]) -> None:
    """Let the numbers of a model in float16 pass for those of the checkpoint that they were rounded from.

    Args:
        exact: digests of the checkpoint's numbers.
        rounded: digests of the same numbers in float16.
    """
    _EXACT.update((there, here) for here, there in zip(exact, rounded, strict=True) if there)


def difference(recorded: Fingerprint, found: Fingerprint) -> str | None:
    """One line that names how a model differs from a recorded one, or None where a prompt fits both.

    Heads are compared where both models are of one class: a prompt that needs no head fits a body too.
    """
    for field in _COMPARED:
        before, now = getattr(recorded, field), getattr(found, field)
        if before != now:
            return f"{field} is {before} there and {now} here"
    if recorded.weights != found.weights:
        return f"the weights differ (sha256 {recorded.weights[:12]} there, {found.weights[:12]} here)"
    if recorded.architecture == found.architecture and recorded.head != found.head:
        return f"the weights of the head differ (sha256 {recorded.head[:12]} there, {found.head[:12]} here)"
    return None


def _parts(model: PreTrainedModel) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights of the body and those of the head, by name, each once."""
    part = inner(model)
    base, again, output = part.base_model, _apart(part), part.get_output_embeddings()
    embedding = {id(weight) for weight in part.get_input_embeddings().parameters()}
    outside = {id(weight) for weight in output.parameters()} - embedding if output is not None else set()
    named = {name: weight for name, weight in base.named_parameters() if id(weight) not in outside}
    body: dict[str, Tensor] = {}
    body |= {name: weight for name, weight in named.items() if not name.startswith("pooler")}
    inside = {id(weight) for weight in body.values()} | again
    head: dict[str, Tensor] = {}
    head |= {name: weight for name, weight in model.named_parameters() if id(weight) not in inside}
    body = {name: weight for name, weight in body.items() if id(weight) not in again}
    within = set(base.modules()) - set(() if output is None else output.modules())
    body |= {name: one for module, name, one in beside_parameters(base) if module in within}
    head |= {name: one for module, name, one in beside_parameters(model) if module not in within}
    return body, head


def _apart(model: PreTrainedModel) -> set[int]:
    """Weights that are tied to others, and stand apart from them while they rest elsewhere."""
    own = dict(model.named_parameters(remove_duplicate=False))
    pairs = ((own.get(name), own.get(other)) for name, other in getattr(model, TIED, {}).items())
    return {
        id(one) for one, first in pairs if one is not None and first is not None and one.is_meta and one is not first
    }


def _found(weights: Mapping[str, Weight], elsewhere: Mapping[int, Resting]) -> dict[str, Weight]:
    """Weights, those that are not in memory as what they are read from."""
    return {name: elsewhere.get(id(weight), weight) for name, weight in weights.items()}


def _sum(weights: Mapping[str, Weight]) -> bytes:
    """A fast sum over names, types, shapes and every byte of the numbers."""
    total = xxh3_128()
    for name, weight in weights.items():
        total.update(f"{name} {weight.dtype} {list(weight.shape)}\n".encode())
        for piece in _pieces(name, weight):
            total.update(_bytes(piece))
    return total.digest()


def _digest(weights: Mapping[str, Weight]) -> str:
    """sha256 over names, shapes and numbers; threads help, for hashing lets go of the interpreter.

    As many as torch may use. One is this one: torch cannot start in a thread of a forked process.
    """
    names, threads = sorted(weights), torch.get_num_threads()
    if threads == 1:
        digests = [_digest_of(name, weights[name]) for name in names]
    else:
        with ThreadPoolExecutor(threads) as pool:
            digests = list(pool.map(lambda name: _digest_of(name, weights[name]), names))
    shapes = (list(weights[name].shape) for name in names)
    lines = (f"{name} {shape} {digest}\n" for name, shape, digest in zip(names, shapes, digests, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _digest_of(name: str, weight: Weight) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(name, weight):
        digest.update(_bytes(piece.to(torch.bfloat16) if piece.is_floating_point() else piece))
    return digest.hexdigest()


def _pieces(name: str, weight: Weight) -> Iterator[Tensor]:
    """The numbers of a weight in their order, some at a time."""
    numbers = weight if isinstance(weight, Tensor) else weight.read()
    if numbers.is_meta:
        raise SoftPromptError(f"weight {name} is not in memory: load the backbone without offloading")
    if is_sharded(numbers):
        raise SoftPromptError(f"weight {name} is sharded over ranks: gather the model's weights first")
    for plain in inner_numbers(numbers.detach()):
        yield from plain.flatten().split(_PIECE)


def _bytes(piece: Tensor) -> memoryview:
    return piece.cpu().contiguous().view(torch.uint8).numpy().data
