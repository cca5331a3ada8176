"""Choices of layers: how they are written, which layers they name, and prompts in attention that leave layers out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import DynamicCache

from softprompt.attached.attach import attach, build
from softprompt.errors import SoftPromptError
from softprompt.methods import PTuningV2, method
from softprompt.methods.parts.layers import LayerSelection, selection, usual

from ...shared.models import ENCODER_DECODERS, LAYERS, ids, model, padded, tokenizer
from ...shared.prompts import attached, close, every_family, every_generative, graded, logits, producer

WORDS = ("all", "input", "first_half", "latter_half", "odd", "middle", "learned", "learned:open")
COUNTED = ("first", "last", "random", "learned")
written = st.one_of(
    st.sampled_from(WORDS),
    st.builds("{}:{}".format, st.sampled_from(COUNTED), st.integers(1, 999_999)),
    st.lists(st.integers(0, 999_999), min_size=1, max_size=9, unique=True).map(
        lambda numbers: ",".join(map(str, sorted(numbers)))
    ),
)


@given(written)
def test_what_is_written_is_read_and_written_the_same(text: str) -> None:
    found = selection(text)
    assert str(found) == text
    assert selection(str(found)) == found
    assert method("capt", select=text).select == text
    if found.rule == "numbers":
        assert method("capt", select=list(found.numbers)) == method("capt", select=text)


@given(st.one_of(st.text(max_size=12), st.text("0123456789,:flreandsotm-+ _.٣²", max_size=12)))
def test_all_else_is_refused(text: str) -> None:
    found, told = None, ""
    try:
        found = selection(text)
    except ValueError as error:
        told = str(error)
    if found is None:
        assert told
        assert "\n" not in told
        return
    assert isinstance(found, LayerSelection)
    assert text in WORDS or str(selection(str(found))) == str(found)
    assert found.numbers == tuple(sorted(set(found.numbers)))
    assert found.count is None or found.count > 0


@pytest.mark.parametrize(
    "junk",
    ["", "some", "ALL", "first", "last:", "first:0", "first:-1", "learned:1.5", "learned:K", "middle:2", "1,", ",1",
     "1;2", "2,1", "1,1", "-1", "1.0", "first:1000000", "0,1\n", "first:2\n", "all ,0", "٣"],
)  # fmt: skip
def test_junk(junk: str) -> None:
    with pytest.raises(ValueError, match="choose from all, input|once each"):
        selection(junk)
    if junk != "all ,0":
        with pytest.raises(SoftPromptError, match="option 'select' of method 'capt'"):
            method("capt", select=junk)


@pytest.mark.parametrize("junk", [1.5, None, True, [], {}, [1, "a"], [2, 1], -3])
def test_values_that_are_no_choice(junk: Any) -> None:
    with pytest.raises(SoftPromptError, match="option 'select' of method 'p_tuning_v2'") as error:
        method("p_tuning_v2", select=junk)
    assert "\n" not in str(error.value)


def test_numbers_may_be_given_as_numbers() -> None:
    assert method("capt", select=2).select == "2"
    assert method("capt", select=(0, 2)).select == method("capt", select="0, 2").select == "0,2"


LAYERS_OF = {
    "all": {1: [0], 3: [0, 1, 2], 4: [0, 1, 2, 3], 6: [0, 1, 2, 3, 4, 5]},
    "input": {1: [0], 3: [0], 4: [0], 6: [0]},
    "first_half": {1: [0], 3: [0], 4: [0, 1], 6: [0, 1, 2]},
    "latter_half": {1: [0], 3: [1, 2], 4: [2, 3], 6: [3, 4, 5]},
    "odd": {1: [0], 3: [0, 2], 4: [0, 2], 6: [0, 2, 4]},
    "middle": {1: [0], 3: [1], 4: [2], 6: [3]},
    "first:1": {1: [0], 3: [0], 4: [0], 6: [0]},
    "first:3": {3: [0, 1, 2], 4: [0, 1, 2], 6: [0, 1, 2]},
    "last:1": {1: [0], 3: [2], 4: [3], 6: [5]},
    "last:3": {3: [0, 1, 2], 4: [1, 2, 3], 6: [3, 4, 5]},
    "0,3": {4: [0, 3], 6: [0, 3]},
    # Until a training settles them:
    "random:2": {3: [0, 1, 2], 4: [0, 1, 2, 3]},
    "learned:2": {3: [0, 1, 2], 4: [0, 1, 2, 3]},
    "learned": {1: [0], 3: [0, 1, 2]},
    "learned:open": {1: [0], 3: [0, 1, 2]},
}


@pytest.mark.parametrize("text", list(LAYERS_OF))
def test_the_layers_of_a_choice(text: str) -> None:
    for total, layers in LAYERS_OF[text].items():
        assert list(selection(text).of(total)) == layers
    assert selection(text).settled is (text.split(":")[0] not in ("random", "learned"))


@settings(max_examples=200)
@given(written, st.integers(1, 100))
def test_layers_are_there_and_ascending(text: str, total: int) -> None:
    found = selection(text)
    highest = max([*found.numbers, (found.count or 1) - 1])
    if highest >= total:
        with pytest.raises(SoftPromptError, match=f"the backbone has (layers 0 to {total - 1}|{total} layers), but"):
            found.of(total)
        return
    layers = found.of(total)
    assert layers
    assert list(layers) == sorted(set(layers))
    assert set(layers) <= set(range(total))


def test_how_many_a_search_keeps() -> None:
    assert [usual(total) for total in (1, 2, 3, 6, 12, 18, 40)] == [1, 1, 1, 3, 6, 8, 8]
    assert selection("learned").limit(6) == 3
    assert selection("learned:5").limit(6) == 5
    assert selection("learned:open").limit(6) is None


# -- keys and values at some layers ------------------------------------------------------------------------------


P = 3


def by_hand(row: Tensor, table: Tensor, chosen: tuple[int, ...], positions_from: int) -> Tensor:
    """A llama's logits with prefixes at the chosen layers alone: each layer by itself, with a cache or none."""
    body, (length,) = model("llama").model, row.shape[1:]
    heads, width = body.config.num_key_value_heads, body.layers[0].self_attn.head_dim
    # As in P-Tuning v2's code: (P, 2 layers, heads, width), keys and values in turns.
    vectors = table.view(P, 2 * len(chosen), heads, width).permute(1, 2, 0, 3)[:, None]
    states = body.embed_tokens(row)
    positions = torch.arange(length)[None] + positions_from
    angles = body.rotary_emb(states, position_ids=positions)
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    for index, layer in enumerate(body.layers):
        cache, mask = DynamicCache(), causal
        if index in chosen:
            place = chosen.index(index)
            cache.update(vectors[2 * place], vectors[2 * place + 1], index)
            mask = torch.cat([torch.ones(length, P, dtype=torch.bool), causal], dim=1)
        states = layer(
            states, attention_mask=mask[None, None], position_embeddings=angles, position_ids=positions,
            past_key_values=cache,
        )  # fmt: skip
        states = states if torch.is_tensor(states) else states[0]
    return model("llama").lm_head(body.norm(states))[0]


@pytest.mark.parametrize("chosen", [(0,), (1,), (0, 2), (0, 1, 2)])
def test_a_prefix_at_some_layers(chosen: tuple[int, ...]) -> None:
    """Padded rows, against each layer's own attention with a cache of the prefix or without one."""
    options = PTuningV2(num_virtual_tokens=P, init_std=1.0, select=list(chosen))
    rows = [ids(7, 1), ids(4, 2)]
    with attached(model("llama"), options) as prompted, torch.no_grad():
        table = prompted.prompts[0].stored()["table"]
        for side in ("left", "right"):
            for row, found in zip(rows, logits(prompted, *padded(rows, side)), strict=True):
                close(found, by_hand(row, table, chosen, P), 1e-5)


@every_family
def test_scalars_of_chosen_layers(family: str) -> None:
    made = build(model(family), tokenizer(), PTuningV2(num_virtual_tokens=P, select="0,2"))
    whole = build(model(family), tokenizer(), PTuningV2(num_virtual_tokens=P))
    assert 3 * made.stored()["table"].numel() == 2 * whole.stored()["table"].numel()
    projected = PTuningV2(num_virtual_tokens=P, select="1", prefix_projection=True, encoder_hidden_size=8)
    assert build(model(family), tokenizer(), projected).stored()["table"].numel() * 2 == made.stored()["table"].numel()


@every_family
def test_no_gradient_below_the_first_prefix(family: str) -> None:
    """What lies below is the frozen model's own."""
    options = PTuningV2(num_virtual_tokens=P, init_std=1.0, select=str(LAYERS - 1))
    with attached(model(family), options) as prompted:
        assert graded(prompted) == [False, False, True]


@every_family
def test_prefixes_of_other_layers_and_lengths_in_one_batch(family: str) -> None:
    """Each row as with its own prompt alone; the third has none at a layer where the others have one."""
    options = {
        "two": PTuningV2(num_virtual_tokens=2, init_std=1.0, select="0,2"),
        "five": PTuningV2(num_virtual_tokens=5, init_std=1.0, select="1"),
        "all": PTuningV2(num_virtual_tokens=3, init_std=1.0),
    }
    made = {name: producer(model(family), one, seed) for seed, (name, one) in enumerate(options.items())}
    rows = [ids(7, 1), ids(4, 2), ids(5, 3), ids(6, 4)]
    names = ["two", "five", "all", "five"]
    with torch.no_grad():
        with attach(model(family), tokenizer(), made) as prompted:
            together = logits(prompted, *padded(rows, "left"), prompts=names)
        for row, name, found in zip(rows, names, together, strict=True):
            with attach(model(family), tokenizer(), made[name]) as prompted:
                close(found, logits(prompted, row)[0], 1e-5)


@every_generative
def test_prefixes_of_other_layers_generate_as_each_alone(family: str) -> None:
    options = {
        "two": PTuningV2(num_virtual_tokens=2, init_std=1.0, select="2"),
        "four": PTuningV2(num_virtual_tokens=4, init_std=1.0, select="0,1"),
    }
    made = {name: producer(model(family), one, seed) for seed, (name, one) in enumerate(options.items())}
    rows = [ids(6, 1), ids(4, 2)]
    batch, mask = padded(rows, "left")
    more: dict[str, Any] = {"max_new_tokens": 5, "do_sample": False, "num_beams": 2}
    with torch.no_grad():
        with attach(model(family), tokenizer(), made) as prompted:
            together = prompted.generate(batch, attention_mask=mask, prompts=list(made), **more)
        for index, (row, name) in enumerate(zip(rows, made, strict=True)):
            with attach(model(family), tokenizer(), made[name]) as prompted:
                alone = prompted.generate(row, attention_mask=torch.ones_like(row), **more)
            read = (0, 0) if family in ENCODER_DECODERS else (batch.shape[1], row.shape[1])
            own = alone[0][read[1] :].tolist()
            assert together[index][read[0] :][: len(own)].tolist() == own
