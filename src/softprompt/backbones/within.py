"""The language model inside a user's own class: with a value head beside it, another head, a forward of its own.

The class is the backbone, for its forward is what is called; the language model in it has the parts that sites need.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel

from softprompt.backbones.remembered import Remembered
from softprompt.backbones.resting import device_of
from softprompt.backbones.untouched import untouched
from softprompt.errors import SoftPromptError

_TRANSFORMERS = "transformers.models."
_GIVES: Remembered[bool] = Remembered()


def language_model(model: nn.Module) -> PreTrainedModel | None:
    """Transformers' own model inside a class that is none of transformers'; None where there is none such.

    Raises:
        SoftPromptError: there are several, and nothing says which of them reads the text.
    """
    if _is_theirs(model):
        return None
    parts = [("", model)]
    while parts:
        parts = [(f"{path}.{name}", part) for path, outer in parts for name, part in outer.named_children()]
        found = {path[1:]: one for path, one in parts if isinstance(one, PreTrainedModel) and _is_theirs(one)}
        found = {path: one for path, one in found.items() if one.main_input_name == "input_ids"}
        if len(found) > 1 and not getattr(getattr(model, "config", None), "is_encoder_decoder", False):
            raise SoftPromptError(
                f"{type(model).__name__} holds several language models ({', '.join(found)}): attach to one of them"
            )
        if found:
            return next(iter(found.values())) if len(found) == 1 else None
    return None


def inner(model: PreTrainedModel) -> PreTrainedModel:
    """The language model inside a class that wraps one, or the model itself."""
    return language_model(model) or model


def gives_logits_of(model: nn.Module, part: PreTrainedModel) -> bool:
    """Whether what wraps a language model gives logits over its words, tried once on a short row."""
    head = part.get_output_embeddings()
    if head is None:
        return False
    return _GIVES.of(model, id(part), lambda: _width(model, part) == int(_weight(head).shape[0]))


def check_generates(model: nn.Module, *, virtual: bool) -> None:
    """See that a model generates by itself.

    Args:
        model: the backbone.
        virtual: whether virtual tokens stand in what it shall go on with, which `generate` must be taught.

    Raises:
        SoftPromptError: it has no `generate`, or hands it on to a language model inside.
    """
    kind, part = type(model).__name__, language_model(model)
    own = hasattr(model, "generate")
    if isinstance(part, GenerationMixin) and not isinstance(model, GenerationMixin) and (virtual or not own):
        raise SoftPromptError(
            f"{kind} wraps the {type(part).__name__} that generates: attach the prompt to that one, and generate there"
        )
    if not own:
        raise SoftPromptError(f"{kind} has no `generate`: load the backbone with a language-model head that writes")


def _width(model: nn.Module, part: PreTrainedModel) -> int | None:
    embedding = part.get_input_embeddings()
    row = torch.arange(8, device=device_of(embedding))[None] + int(_weight(embedding).shape[0]) // 2
    try:
        with untouched(model):
            logits = getattr(model(input_ids=row), "logits", None)
    except Exception:  # a model may raise anything
        return None
    return int(logits.shape[-1]) if isinstance(logits, Tensor) else None


def _weight(module: nn.Module) -> Tensor:
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight


def _is_theirs(model: nn.Module) -> bool:
    """Whether a model's class is one of transformers' architectures, or derived from one."""
    kinds = (kind for kind in type(model).__mro__ if kind.__module__.startswith(_TRANSFORMERS))
    return any(not kind.__name__.endswith("PreTrainedModel") for kind in kinds)
