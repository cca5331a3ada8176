"""Which modules a model's call goes through: those that receive its ids, and the layers that hand states on.

Names tell little: a body may stand under `text_model` or `backbone` beside a tower for images, its layers under
`blocks`. So one short row is run, as far as the input embedding where that is all that is asked.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from softprompt.backbones.resting import device_of
from softprompt.backbones.structure import body_of, input_embedding, layers_of, weight_of
from softprompt.backbones.untouched import untouched
from softprompt.backbones.within import language_model

_TOKENS = 8


def receivers(model: nn.Module) -> tuple[nn.Module, ...]:
    """The modules through which ids go to the input embedding, each inside the one before; none where it is not run.

    Args:
        model: takes `input_ids`; what else it needs is not known here, and a model that fails without it has none.
    """
    embedding = input_embedding(model)
    if embedding is None:
        return ()
    active: list[nn.Module] = []
    found: list[nn.Module] = []
    me = threading.get_ident()

    def entering(module: nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        if threading.get_ident() != me:  # another thread may be running the same model
            return
        if module is embedding:
            found.extend(active)
            raise _Reached
        given = (*args[:1], kwargs.get("input_ids"))
        if any(isinstance(one, Tensor) and not one.is_floating_point() for one in given):
            active.append(module)

    def leaving(module: nn.Module, args: tuple[object, ...], output: object) -> None:
        if threading.get_ident() == me and active and active[-1] is module:
            active.pop()

    with ExitStack() as stack:
        stack.enter_context(untouched(model))
        for module in model.modules():
            stack.callback(module.register_forward_pre_hook(entering, with_kwargs=True).remove)
            stack.callback(module.register_forward_hook(leaving).remove)
        stack.enter_context(suppress(Exception))  # a model may raise anything; what was reached before counts
        model(input_ids=_row(embedding))
    return tuple(found)


def body_by_route(part: nn.Module, config: PreTrainedConfig) -> PreTrainedModel:
    """The smallest module of a model of one side that receives ids and holds what the sites need."""
    return body_of(part, config, receivers(part))


def reading_model(model: nn.Module) -> nn.Module:
    """The model whose parts the sites need: transformers' own in a user's class, where ids go to it, else the model."""
    part = language_model(model)
    path = () if part is None else receivers(model)
    return model if part is None or (path and part not in path) else part


def text_layers(body: nn.Module, config: PreTrainedConfig) -> tuple[nn.Module, ...]:
    """The layers of a body, by a usual name where its text enters them there, else those that its states go through."""
    named = layers_of(body, config)
    found = named if named and is_called(named[0], body) else called_layers(body)
    apart = any("key" in inspect.signature(layer.forward).parameters for layer in found)
    return () if apart else found  # Funnel's take queries, keys and values, and states in none of them alone


def is_called(module: nn.Module, body: nn.Module) -> bool:
    """Whether a body's text enters one of its modules by a call; so it is taken to where the body fails before.

    SqueezeBERT runs its layers' `forward`, past whatever could be put before them; the layers of a tower for sounds,
    which have a usual name (Granite Speech), are no text's.

    Args:
        module: a layer.
        body: takes ids.
    """
    embedding, me = input_embedding(body), threading.get_ident()
    if embedding is None:
        return True

    def entering(module: nn.Module, args: tuple[object, ...]) -> None:
        if threading.get_ident() == me:  # another thread may be running the same model
            raise _Reached

    with untouched(body):
        handle = module.register_forward_pre_hook(entering)
        try:
            body(input_ids=_row(embedding))
        except Exception:  # a model may raise anything
            return True
        finally:
            handle.remove()
    return False


def called_layers(body: nn.Module) -> tuple[nn.Module, ...]:
    """The members of the list through which a row's states go, in the order of their calls; none where there is none.

    A member takes states `(1, T, H)` and gives states of that shape, first of several things where it gives more, and
    they enter the next one as they are. Of several such lists the one with most parameters counts.

    Args:
        body: takes ids.
    """
    embedding = input_embedding(body)
    lists = _outermost_lists(body)
    if embedding is None or not lists:
        return ()
    of_list = {member: one for one in lists for member in one}
    calls: dict[nn.Module, list[nn.Module]] = {one: [] for one in lists}
    broken: set[nn.Module] = set()
    last: dict[nn.Module, Tensor] = {}
    me = threading.get_ident()

    def leaving(module: nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object], output: object) -> None:
        if threading.get_ident() != me:
            return
        entered = args[0] if args else kwargs.get("hidden_states")
        left = output[0] if isinstance(output, tuple | list) and output else output
        mine = of_list[module]
        if _hands_on(entered, left) and isinstance(entered, Tensor) and torch.equal(last.get(mine, entered), entered):
            calls[mine].append(module)
        else:
            broken.add(mine)
        if isinstance(left, Tensor):
            last[mine] = left

    with ExitStack() as stack:
        stack.enter_context(untouched(body))
        for member in of_list:
            stack.callback(member.register_forward_hook(leaving, with_kwargs=True).remove)
        try:
            body(input_ids=_row(embedding))
        except Exception:
            return ()
    whole = [one for one in lists if one not in broken and set(calls[one]) == set(one)]
    size = {one: sum(weight.numel() for weight in one.parameters()) for one in whole}
    return tuple(calls[max(whole, key=size.__getitem__)]) if whole else ()


def _hands_on(entered: object, left: object) -> bool:
    whole = isinstance(entered, Tensor) and isinstance(left, Tensor) and entered.shape == left.shape
    return whole and isinstance(left, Tensor) and left.ndim == 3 and left.shape[:2] == (1, _TOKENS)


def _outermost_lists(body: nn.Module) -> list[nn.ModuleList]:
    """The lists of modules that stand in no other list."""
    found: list[nn.ModuleList] = []
    waiting = [body]
    while waiting:
        for part in waiting.pop().children():
            if isinstance(part, nn.ModuleList):
                found.append(part)
            else:
                waiting.append(part)
    return found


def _row(embedding: nn.Module) -> Tensor:
    """Eight words from the middle of the vocabulary, `(1, 8)`: most special tokens stand at its ends."""
    weight = weight_of(embedding)
    middle = weight.shape[0] // 2
    return torch.arange(middle, middle + _TOKENS, device=device_of(embedding))[None].clamp(max=weight.shape[0] - 1)


class _Reached(Exception):
    """What was looked for was called."""
