"""What a call shows of the inside of a model: as it says, or else as the configuration does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from softprompt.backbones.shown import OF_LAYERS, SHOWN, shows_inside, shows_layers


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize(
    ("told", "configured", "shows"),
    [(None, True, True), (None, False, False), (False, True, False), (True, False, True)],
)
def test_a_call_s_word_goes_before_the_configuration_s(
    name: str, told: bool | None, configured: bool, shows: bool
) -> None:
    config = SimpleNamespace(**{name: configured})
    for given in ({name: told}, {} if told is None else {name: told}):
        assert shows_inside(config, given) == shows
        assert shows_layers(config, given) == (shows and name in OF_LAYERS)


def test_nothing_is_shown_unasked() -> None:
    nothing: dict[str, Any] = {}
    assert not shows_inside(object(), nothing)
