"""The narrowest window of a backbone's layers, as its configuration says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from transformers import LlamaConfig, MistralConfig

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.windows import shortest_window, slides


class OfEachLayer(SimpleNamespace):
    """A configuration that says another thing for each layer, and nothing of all."""

    @property
    def sliding_window(self) -> int:
        raise RuntimeError("a per-layer attribute")


def test_a_window_that_the_family_does_not_know_is_none() -> None:
    for kind, expected in ((MistralConfig, True), (LlamaConfig, False)):
        anatomy = SimpleNamespace(config=kind(sliding_window=4))
        assert slides(cast("Anatomy", anatomy)) == expected


def window(config: Any) -> int | None:
    return shortest_window(cast("Anatomy", SimpleNamespace(config=config)))


@pytest.mark.parametrize(("layers", "expected"), [([8, None, 4], 4), ([None, None], None)])
def test_the_least_of_layers_that_differ(layers: list[int | None], expected: int | None) -> None:
    each = [SimpleNamespace(sliding_window=one) for one in layers]
    assert window(OfEachLayer(per_layer_config=each)) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 4), ({"use_sliding_window": False}, None), ({"layer_types": ["full_attention"]}, None)],
    ids=str,
)
def test_a_window_counts_where_layers_have_it(options: dict[str, Any], expected: int | None) -> None:
    assert window(SimpleNamespace(sliding_window=4, **options)) == expected
