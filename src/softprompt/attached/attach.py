"""`attach`: put prompts at a model's sites."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any, Protocol, TypeAlias

import torch
from torch import nn

from softprompt.attached.model import PromptedModel
from softprompt.backbones.backbone import Backbone, takes_backbone
from softprompt.backbones.compat import compiles_calls, is_compiled, parameters_of
from softprompt.backbones.packed import is_laid_out
from softprompt.backbones.resting import is_sharded, is_sketched
from softprompt.errors import SoftPromptError
from softprompt.methods.base import BuildContext, Method
from softprompt.readouts.template_words import word_ids
from softprompt.sites.asking import own_class
from softprompt.sites.producer import Producer


class HoldsProducer(Protocol):
    """What a loaded prompt is here."""

    producer: Producer


Attachable: TypeAlias = Method | Producer | HoldsProducer


@takes_backbone
def attach(
    model: Backbone,
    /,
    prompt: Attachable | Mapping[str, Attachable],
    *,
    label_words: tuple[str, ...] = (),
    seed: int = 0,
    dropout: bool = False,
) -> PromptedModel:
    """Attach one prompt or many to a frozen model; use as a call or in a `with` block.

    What is attached works in the calls of the attached model alone: the model itself may be called meanwhile, be
    attached to again, and all of these from several threads.

    Args:
        model: a `Backbone`, or a transformers model and then its tokenizer. The model is neither copied nor edited,
            and `detach` gives it back as it was.
        prompt: a method (a new prompt is initialised), a loaded prompt, or a mapping from names to these.
        label_words: for initialisations that start from label words.
        seed: of every random draw of a new prompt.
        dropout: let the frozen backbone's dropout work while training.

    Returns:
        A plain `nn.Module` with the model's own forward signature.

    Raises:
        SoftPromptError: the family cannot serve the site, the prompt has no room, or the model cannot be attached to
            (it is compiled, attached or wrapped itself).

    Example:
        >>> with sp.attach(model, tokenizer, sp.PromptTuning(num_virtual_tokens=2)) as prompted:
        ...     logits = prompted(**prompted.encode(["a moving film"])).logits
        >>> logits.shape == (1, len(tokenizer("a moving film")["input_ids"]), model.config.vocab_size)
        True
    """
    own, tokenizer = model
    _refuse(own)
    named = dict(prompt) if isinstance(prompt, Mapping) else {_name(prompt): prompt}
    producers = {name: build(model, one, label_words=label_words, seed=seed) for name, one in named.items()}
    prompted = attached_class(own)(own, tokenizer, producers, dropout=dropout)
    prompted.sources = {name: one for name, one in named.items() if not isinstance(one, Producer)}
    return prompted


@takes_backbone
def build(
    model: Backbone,
    /,
    prompt: Attachable,
    *,
    label_words: tuple[str, ...] = (),
    seed: int = 0,
    blank: bool = False,
) -> Producer:
    """The producer of a prompt: a method's is made anew (its values `blank` or not), a loaded prompt brings its own.

    Raises:
        SoftPromptError: neither a method nor a prompt, or a method that cannot serve the backbone.
    """
    if isinstance(prompt, Producer):
        return prompt
    if isinstance(prompt, Method):
        context = _context(model, prompt, tuple(label_words), seed)
        made: object = prompt.build(replace(context, blank=blank))
        if not isinstance(made, Producer):
            raise SoftPromptError(f"method {prompt.name!r} builds a {type(made).__name__}: have it give a Producer")
        return made.to(model.device)
    own = getattr(prompt, "producer", None)
    if isinstance(own, Producer):
        return own
    raise SoftPromptError(f"attach takes a method or a loaded prompt, not {type(prompt).__name__}")


@takes_backbone
def sketch(model: Backbone, /, method: Method) -> Producer:
    """A method's prompt on torch's `meta` device: types and shapes, without memory whatever sizes its options ask for.

    Raises:
        SoftPromptError: the method cannot serve the backbone.
    """
    context = _context(model, method)
    with torch.device("meta"):
        return method.build(replace(context, blank=True, sketch=True)).to("meta")


def _context(backbone: Backbone, method: Method, label_words: tuple[str, ...] = (), seed: int = 0) -> BuildContext:
    generator, anatomy, tokenizer = torch.Generator().manual_seed(seed), backbone.anatomy, backbone.tokenizer
    anatomy.require_site(method.site)
    why = method.refusal(anatomy)
    if why is not None:
        raise SoftPromptError(f"method {method.name!r} cannot serve family {anatomy.family!r}: {why}")
    return BuildContext(anatomy, tokenizer, label_words, generator, partial(word_ids, tokenizer=tokenizer))


def _name(prompt: object) -> str:
    return str(getattr(prompt, "name", "prompt"))


def _refuse(model: nn.Module) -> None:
    """Refuse what would be silently wrong to attach to.

    Raises:
        SoftPromptError: the model is attached, compiled, sharded, or not in memory.
    """
    if isinstance(model, PromptedModel):
        raise SoftPromptError("this model has prompts attached itself: attach to its backbone (`model.backbone`)")
    parts = dict(model.named_modules())
    if is_compiled(model) or any(map(compiles_calls, parts.values())):
        raise SoftPromptError("the model is compiled: attach to it as it was before, and compile the attached model")
    for path, module in parts.items():
        if is_laid_out(module):
            raise SoftPromptError(
                f"the 4-bit weights of {path} were laid out for this processor when the model was called, and no "
                "gradient passes through them any more: load the backbone again, and attach to it before it is called"
            )
        for name, weight in parameters_of(module).items():
            if weight is not None and is_sketched(module, weight):
                told = f"weight {path}.{name} is not in memory (device meta)"
                raise SoftPromptError(f"{told}: load the backbone's weights first")
            if weight is not None and is_sharded(weight):
                raise SoftPromptError(
                    "the model is sharded already (fully_shard): attach to it first, and shard it then"
                )


def attached_class(model: nn.Module) -> type[PromptedModel]:
    """A `PromptedModel` with the model's own forward signature and class name, by which trainers choose."""
    kind: Any = own_class(model)  # which mypy takes for unhashable, as modules of equal values would be
    return _attached_class(kind)


@cache
def _attached_class(kind: type[nn.Module]) -> type[PromptedModel]:
    own = inspect.signature(kind.forward)
    forward_of_ours: Callable[..., object] = PromptedModel.forward
    ours = inspect.signature(forward_of_ours).parameters
    listed = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    extra = [p for p in ours.values() if p.kind is inspect.Parameter.KEYWORD_ONLY and p.name not in own.parameters]
    rest = [p for p in own.parameters.values() if p.kind is inspect.Parameter.VAR_KEYWORD]

    def forward(self: PromptedModel, *args: object, **kwargs: object) -> object:
        return forward_of_ours(self, *args, **kwargs)

    vars(forward)["__signature__"] = own.replace(parameters=[*listed, *extra, *rest])
    forward.__doc__ = PromptedModel.forward.__doc__
    return type(kind.__name__, (PromptedModel,), {"forward": forward, "__module__": PromptedModel.__module__})
