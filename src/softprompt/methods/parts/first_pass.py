"""A pass of the frozen backbone over the text alone, from inside a call that runs with the prompt."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.compat import DISPATCHED, HOOKS, OF_LAST_TEXT
from softprompt.backbones.given_vectors import scale_of_lookups
from softprompt.errors import SoftPromptError
from softprompt.sites.asking import mirrored
from softprompt.sites.producer import View


class FirstPass:
    """What the backbone makes of a text before any prompt has touched it, without gradient.

    The body is called through a twin: modules of the same classes that hold the very same parameters and buffers, and
    none of the hooks through which prompts work. It takes no memory, and the body itself is not touched.
    """

    def __init__(self, anatomy: Anatomy) -> None:
        """Mirror the body.

        Args:
            anatomy: of the backbone; an encoder-decoder's body is its encoder.

        Raises:
            SoftPromptError: embeddings alone are no text to it, or another one.
        """
        if anatomy.lookups:
            raise SoftPromptError(
                f"family {anatomy.family!r} looks ids up beside its embeddings, from which alone a first pass over the "
                "text cannot be made: take a method without one, such as prompt_tuning"
            )
        scale = scale_of_lookups(cast("PreTrainedModel", anatomy.body), anatomy.embedding)
        if scale is None:
            raise SoftPromptError(
                f"family {anatomy.family!r} makes something else of embeddings that it is given than of those that it "
                "looks up, so that a first pass over the text cannot be made: take a method without one, such as "
                "prompt_tuning"
            )
        self._body, self._scale = twin(anatomy.body), scale
        self._options = {"use_cache": False} if anatomy.kind == "causal" else {}

    @torch.no_grad()
    def __call__(self, view: View) -> tuple[Tensor, Tensor]:
        """The last states of each unit's text.

        Args:
            view: embeddings `(U, T, E)`, of whose columns `text` alone is read.

        Returns:
            States in fp32, `(U, T, H)`, each unit's text first and padding behind, and the text's columns, `(U, T)`.
        """
        order = (~view.text).long().argsort(dim=-1, stable=True)  # the text in its order, then all else
        given = view.states.gather(1, order[..., None].expand_as(view.states))
        given = given if self._scale == 1.0 else given * self._scale
        text = view.text.gather(1, order)
        seen = text.clone()
        seen[:, 0] = True  # a row without text would have nothing to attend to
        states: Tensor = self._body(inputs_embeds=given, attention_mask=seen.long(), **self._options).last_hidden_state
        return states.to(torch.float32), text

    def __deepcopy__(self, memo: dict[int, object]) -> FirstPass:
        """A copy of the producer looks at the same backbone."""
        return self


def twin(module: nn.Module) -> nn.Module:
    """A module with the same parameters, buffers and settings, down to its leaves; it rests.

    It has no hooks, and knows of no text that the module met before.
    """
    return mirrored(module, _as_new).eval()


def _as_new(_: nn.Module, made: nn.Module) -> None:
    if OF_LAST_TEXT in made.__dict__:
        made.__dict__[OF_LAST_TEXT] = None
    made.__dict__.update({name: OrderedDict() for name in made.__dict__ if name.endswith(HOOKS)})
    made.__dict__.pop("forward", None)  # one that stands in for the class's own is bound to the module itself
    if DISPATCHED in made.__dict__:
        made.__dict__["forward"] = partial(_fetched, made)


def _fetched(module: nn.Module, *args: object, **kwargs: object) -> object:
    """A module's call where accelerate moves what enters it and fetches its weights."""
    hook = module.__dict__[DISPATCHED]
    args, kwargs = hook.pre_forward(module, *args, **kwargs)
    return hook.post_forward(module, module.__class__.forward(module, *args, **kwargs))
