"""Sliding windows: how far back the columns of some layers see."""

from __future__ import annotations

from softprompt.backbones.anatomy import Anatomy


def shortest_window(anatomy: Anatomy) -> int | None:
    """The columns that the narrowest of the layers sees, its own among them; None where each sees all.

    As the configuration says: `sliding_window`, of the layers that `layer_types` calls so, or of all.
    """
    config = anatomy.config
    window, kinds = getattr(config, "sliding_window", None), getattr(config, "layer_types", None)
    slides = kinds is None or "sliding_attention" in kinds
    return window if isinstance(window, int) and slides and getattr(config, "use_sliding_window", True) else None
