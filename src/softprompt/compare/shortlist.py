"""Which methods come into question where nobody names one: by what their recipes declare, and by what they store.

Nothing here knows a method by its name. The order is that of the evidence for a method's defaults:

1. the default method of the kind of backbone (`softprompt.methods.default`), which was measured beside others;
2. methods whose rate was published or measured on the backbone's family, or that declare no rate of a family;
3. methods whose rate was measured on other families, those of more families first;
4. methods whose rate was measured on none.

Among equals whoever stores fewer bytes comes first, which is known from shapes. The shortlist is the first eight: a
longer one costs time, and the best of many is the luckiest. Both the order and the number are our choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from pydantic import JsonValue
from safetensors.torch import save

from softprompt.attached.attach import sketch
from softprompt.backbones.backbone import Backbone
from softprompt.backbones.fingerprint import num_parameters
from softprompt.errors import SoftPromptError
from softprompt.methods.base import Method
from softprompt.methods.default import default_method, passes
from softprompt.methods.registry import checked, methods
from softprompt.readouts import build_readout
from softprompt.storage.record import Strict
from softprompt.tasks import Task
from softprompt.training.options import TrainingOptions
from softprompt.training.setup import completed, readout_spec

MOST = 8  # methods of the shortlist
SIZES = ("num_virtual_tokens", "rank", "bottleneck")  # options by which a prompt is made smaller, the first there is
_FITS = ("fit", "layers")  # courses whose time can be told before: one fit, or one with a search in it
_WHOLE = 0.5  # what stores so large a share of the backbone's scalars is no prompt


class Candidate(Strict):
    """A method that comes into question.

    Attributes:
        method: its name.
        method_options: what of its options is not its default.
        training_options: what of training is neither the user's nor its recipe's.
        stored_bytes: of the prompt that it would write.
        evidence: for its defaults.
    """

    method: str
    method_options: dict[str, JsonValue]
    training_options: dict[str, JsonValue]
    stored_bytes: int
    evidence: str


class PassedOver(Strict):
    """A method that does not, and why; `stored_bytes` where it is only too large, as small as it can be."""

    method: str
    why: str
    stored_bytes: int | None = None


class Terms(NamedTuple):
    """What the methods are wanted for.

    Attributes:
        options: of training, the user's.
        rows: to train on.
        max_bytes: that a prompt may store; None for any number.
    """

    options: TrainingOptions
    rows: int
    max_bytes: int | None = None


class _Evidence(NamedTuple):
    """The place of a method in the order, and in words."""

    place: tuple[int, int]
    told: str


def shortlist(backbone: Backbone, task: Task, asked: Terms) -> tuple[list[Candidate], list[PassedOver]]:
    """The methods that come into question, in their order, and those that do not.

    A method whose default stores too much is made smaller by half, and by half again.

    Args:
        backbone: the frozen model.
        task: that is to be learned.
        asked: what they are wanted for.
    """
    found, left = list[tuple[_Evidence, Candidate]](), list[PassedOver]()
    for kind in methods().values():
        own = _evidence(kind, backbone)
        entry = _entry(own.told, kind, backbone, task, asked)
        if isinstance(entry, Candidate):
            found.append((own, entry))
        else:
            left.append(entry)
    found.sort(key=lambda one: (one[0].place, one[1].stored_bytes, one[1].method))
    beyond = [PassedOver(method=one.method, why=f"behind {MOST} others: {own.told}") for own, one in found[MOST:]]
    return [one for _, one in found[:MOST]], [*beyond, *left]


def _evidence(kind: type[Method], backbone: Backbone) -> _Evidence:
    """What is known of a method's defaults on a backbone."""
    anatomy, default = backbone.anatomy, default_method(backbone)
    if default.method.name == kind.name:
        return _Evidence((0, 0), f"the default {default.why}")
    recipe = checked(kind, {}, f"method {kind.name!r}").recipe(anatomy.family, anatomy.kind)
    if recipe.measured_on is None:
        return _Evidence((1, 0), "its recipe is for all families")
    if anatomy.family in recipe.measured_on:
        return _Evidence((1, 0), f"its rate was measured on {anatomy.family}")
    others = {family for one in kind.recipes.values() for family in one.measured_on or ()}
    if others:
        return _Evidence((2, -len(others)), f"its rate was measured on {', '.join(sorted(others))}")
    return _Evidence((3, 0), "its rate was measured on no family")


def _entry(evidence: str, kind: type[Method], backbone: Backbone, task: Task, asked: Terms) -> Candidate | PassedOver:
    """A method, or why it does not come into question."""
    try:
        return _fitting(evidence, kind, backbone, task, asked)
    except SoftPromptError as error:
        return PassedOver(method=kind.name, why=str(error))


def _fitting(evidence: str, kind: type[Method], backbone: Backbone, task: Task, asked: Terms) -> Candidate | PassedOver:
    """A method whose prompt stores no more than it may, or one that cannot be made so small.

    Raises:
        SoftPromptError: it does not come into question.
    """
    own = checked(kind, {}, f"method {kind.name!r}")
    if own.course not in _FITS:
        raise SoftPromptError(f"its course {own.course!r} is more than one fit, so how long it takes is not known")
    recipe = own.recipe(backbone.anatomy.family, backbone.anatomy.kind)
    epochs = passes(recipe, asked.rows, asked.options.batch_size or recipe.batch_size)
    open_ = asked.options.epochs is None and asked.options.max_steps is None
    training: dict[str, JsonValue] = {"epochs": epochs} if open_ and epochs < recipe.epochs else {}
    size, changes = 0, dict[str, JsonValue]()
    for changes in _smaller(own):
        made = checked(kind, changes, f"method {kind.name!r}")
        size = _stored_bytes(made, backbone, task, asked.options, asked.rows)
        if asked.max_bytes is None or size <= asked.max_bytes:
            return Candidate(
                method=own.name,
                method_options=changes,
                training_options=training,
                stored_bytes=size,
                evidence=evidence,
            )
    least = "".join(f" with {name}={value}" for name, value in changes.items())
    return PassedOver(method=own.name, why=f"it stores {size:,} bytes{least}", stored_bytes=size)


def _smaller(method: Method) -> Iterator[dict[str, JsonValue]]:
    """The options of a method with its defaults, and with half of its size and half again, down to one."""
    yield {}
    sizes = ((name, getattr(method, name, None)) for name in SIZES)
    name, count = next(((name, value) for name, value in sizes if isinstance(value, int)), ("", 1))
    while count > 1:
        count //= 2
        yield {name: count}


def _stored_bytes(method: Method, backbone: Backbone, task: Task, options: TrainingOptions, rows: int) -> int:
    """The length of the file that the prompt would be stored in, from its shapes.

    Raises:
        SoftPromptError: the backbone or the task cannot serve the method, or it would store most of the backbone.
    """
    made = completed(backbone, task, method, options, rows)
    producer = sketch(backbone, made.method)
    spec = readout_spec(backbone.model, task, made.method, made.options)
    head = build_readout(task, backbone, producer, spec).stored()
    tensors = {**producer.stored_in(backbone.model), **head}
    own, whole = sum(one.numel() for one in tensors.values()), num_parameters(backbone)
    if own > _WHOLE * whole:
        raise SoftPromptError(f"it stores {own:,} scalars, and the whole backbone has {whole:,}: that is no prompt")
    return len(save({name: torch.zeros(one.shape, dtype=one.dtype) for name, one in tensors.items()}))
