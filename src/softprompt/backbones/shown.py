"""What a call shows of the inside of a model: attention maps, and states or routes of every layer."""

from __future__ import annotations

from collections.abc import Mapping

OF_LAYERS = ("output_hidden_states", "output_router_logits")
SHOWN = ("output_attentions", *OF_LAYERS)


def shows_layers(config: object, given: Mapping[str, object]) -> bool:
    """Whether a call shows every layer's states, or what its experts were chosen by.

    Args:
        config: of the model, which says it for calls that do not.
        given: the call's arguments.
    """
    return any(_shows(config, given, name) for name in OF_LAYERS)


def shows_inside(config: object, given: Mapping[str, object]) -> bool:
    """Whether a call shows any of these; see `shows_layers`."""
    return any(_shows(config, given, name) for name in SHOWN)


def _shows(config: object, given: Mapping[str, object], name: str) -> bool:
    told = given.get(name)
    return bool(getattr(config, name, False) if told is None else told)
