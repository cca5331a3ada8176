"""What decoders keep is found by a trial, and those that do not read it back keep nothing that counts."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from softprompt.backbones.anatomy import read_anatomy
from softprompt.backbones.cached import cached_sizes, kept_of

from ..attacks.attaching import state
from ..shared.models import DECODERS, ids, model
from ..shared.prompts import close
from ..shared.unusual import unusual

# family: key-value heads and their width, which Falcon's configuration does not tell
SIZES = {"falcon": (1, 8), "bloom": (4, 8), "mpt": (4, 8), "gptj": (4, 8), "diffllama": (2, 8), "doge": (2, 8)}


@pytest.mark.parametrize("family", SIZES)
@torch.no_grad()
def test_sizes_are_those_that_layers_keep(family: str) -> None:
    part = read_anatomy(unusual(family))
    before = state(part.body)
    count, width = SIZES[family]
    assert part.cached == ((count, width, width),) * part.num_layers
    assert part.lacks == {}
    assert state(part.body) == before
    row = ids(5, 1)
    cache = unusual(family)(input_ids=row, use_cache=True).past_key_values
    for layer, kept in zip(cache.layers, kept_of(part.body, row), strict=True):
        close(kept.keys, layer.keys)
        close(kept.values, layer.values)


@pytest.mark.parametrize("family", DECODERS)
def test_decoders_that_are_joined_where_they_attend_keep_as_much(family: str) -> None:
    part = read_anatomy(model(family))
    assert {sizes[:2] for sizes in part.cached} == {(part.num_key_value_heads, part.head_dim)}


def test_a_body_that_does_not_read_its_cache_keeps_nothing_that_counts() -> None:
    part = read_anatomy(copy.deepcopy(unusual("falcon")))
    own = part.body.forward

    def forgetful(*args: Any, past_key_values: Any = None, use_cache: bool = True, **kwargs: Any) -> Any:
        if past_key_values is not None and past_key_values.get_seq_length():
            kwargs["attention_mask"] = None
            own(*args, past_key_values=past_key_values, use_cache=True, **kwargs)
            past_key_values = None
        return own(*args, past_key_values=past_key_values, use_cache=use_cache, **kwargs)

    vars(part.body)["forward"] = forgetful
    assert cached_sizes(part.body, part.layers) == ()
    assert cached_sizes(unusual("splinter"), part.layers) == ()  # it takes none
