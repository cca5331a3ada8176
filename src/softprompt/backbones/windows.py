"""What hangs on how long a row is: sliding windows, and rotary angles that are others in a long row."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping

from softprompt.backbones.anatomy import Anatomy


def shortest_window(anatomy: Anatomy) -> int | None:
    """The columns that the narrowest of the layers sees, its own among them; None where each sees all.

    As the configuration says: `sliding_window`, of the layers that `layer_types` calls so, or of all.
    """
    config = anatomy.config
    window, kinds = _window(config), getattr(config, "layer_types", None)
    slides = kinds is None or "sliding_attention" in kinds
    return window if isinstance(window, int) and slides and getattr(config, "use_sliding_window", True) else None


def slides(anatomy: Anatomy) -> bool:
    """Whether layers see a window: one that the family knows, which a configuration may carry along for nothing."""
    known = inspect.signature(type(anatomy.config)).parameters
    return bool(shortest_window(anatomy)) and "sliding_window" in known


def _window(config: object) -> object:
    """What a configuration says of it, the least where it says another thing for each layer."""
    try:
        return getattr(config, "sliding_window", None)
    except RuntimeError:
        each = (getattr(one, "sliding_window", None) for one in getattr(config, "per_layer_config", ()))
        return min((one for one in each if one), default=None)


def longest_unstretched(anatomy: Anatomy) -> int | None:
    """The columns of a row up to which rotary positions have the angles that they have in a short one; None for any.

    LongRoPE and dynamic NTK turn all columns of a longer row by other angles, so keys that were made of a part of it
    are not those of the whole.
    """
    config = anatomy.config
    usual = getattr(config, "max_position_embeddings", None)
    limits = [one.get("original_max_position_embeddings", usual) for one in _stretching(config)]
    return min((one for one in limits if isinstance(one, int)), default=None)


def _stretching(config: object) -> Iterator[Mapping[str, object]]:
    """The rotary parameters, of all layers or of each kind, that give long rows angles of their own."""
    told = getattr(config, "rope_parameters", None)
    given = told if isinstance(told, Mapping) else {}
    for one in (given, *given.values()):
        if isinstance(one, Mapping) and one.get("rope_type") in ("longrope", "dynamic"):
            yield one
