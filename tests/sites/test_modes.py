"""Every part of a model is given back in the mode it was in, whatever happens while it rests."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from torch import nn

from softprompt.sites.modes import evaluating

from ..shared.models import modes


def mixed() -> nn.Module:
    """A module that trains, with a part that rests."""
    made = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Linear(1, 1)))
    made[1][0].eval()
    return made


@pytest.mark.parametrize("stop", [None, ValueError, KeyboardInterrupt, GeneratorExit])
def test_parts_keep_modes_of_their_own(stop: type[BaseException] | None) -> None:
    module = mixed()
    before = modes(module)
    assert len(set(before)) == 2
    with nullcontext() if stop is None else pytest.raises(stop), evaluating(module):
        assert not any(modes(module))
        if stop is not None:
            raise stop
    assert modes(module) == before
