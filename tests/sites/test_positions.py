"""Positions of several axes, of text and images: behind virtual tokens, and behind keys and values, they stay true."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache

from softprompt.attached.attach import attach
from softprompt.errors import SoftPromptError
from softprompt.methods import CaPT, Method, PrefixTuning, PromptTuning, PTuningV2
from softprompt.sites.producer import Producer

from ..shared.images import FAMILIES, SPATIAL, Row, given, seeing
from ..shared.models import tokenizer
from ..shared.prompts import close, producer

WORDS = torch.tensor([[21, 34, 47]])
every_family = pytest.mark.parametrize("family", FAMILIES)
every_spatial = pytest.mark.parametrize("family", SPATIAL)


def rows(family: str) -> list[Row]:
    """Two images of different sizes, where there are sizes, and a row without one."""
    return [Row(6, 1, 4, 4 if family == "llava" else 8), Row(4, 2, 4, 4), Row(5, 3)]


def worded(family: str, placement: str = "front") -> Any:
    """A prompt whose vectors are the embeddings of WORDS."""
    made = producer(seeing(family), PromptTuning(num_virtual_tokens=3, placement=placement))
    with torch.no_grad():
        made.table.copy_(seeing(family).get_input_embeddings()(WORDS)[0])
    return made


def random(family: str, method: Method) -> Producer:
    return producer(seeing(family), method)


def joined(made: Producer, count: int) -> DynamicCache:
    """A prompt's keys and values as a cache of the model."""
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(made.keys_values()):
        cache.update(keys[None].expand(count, -1, -1, -1), values[None].expand(count, -1, -1, -1), layer)
    return cache


@torch.no_grad()
def by_cache(family: str, made: Producer, row: Row) -> Tensor:
    """Logits of a row behind keys and values: the model's own positions of the row, and P."""
    model, batch = seeing(family), given(family, [row])
    ids, mask = batch["input_ids"], batch["attention_mask"]
    order = torch.arange(ids.shape[1])[None]
    if family in SPATIAL:
        order = order.expand(3, 1, -1)
        if row.height:
            order, _ = model.model.get_rope_index(
                ids, batch["mm_token_type_ids"], batch["image_grid_thw"], attention_mask=mask
            )
    wide = torch.ones(1, made.footprint.prefix + ids.shape[1], dtype=torch.long)
    past = {"past_key_values": joined(made, 1), "attention_mask": wide, "position_ids": order + made.footprint.prefix}
    return model(**{**batch, **past}).logits[0]


@every_family
@pytest.mark.parametrize("side", ["left", "right"])
def test_vectors_of_words_are_these_words(family: str, side: str) -> None:
    asked = rows(family)
    with attach(seeing(family), tokenizer(), worded(family)) as prompted, torch.no_grad():
        found = prompted(**given(family, asked, side=side)).logits
        mask = given(family, asked, side=side)["attention_mask"].bool()
        for row, own, mine in zip(asked, found, mask, strict=True):
            plain = seeing(family)(**given(family, [row], WORDS)).logits[0, 3:]
            close(own[mine], plain, 1e-4)


@every_family
@pytest.mark.parametrize("method", [PTuningV2, PrefixTuning])
def test_text_and_images_start_behind_keys_and_values(family: str, method: Any) -> None:
    made, asked = random(family, method(num_virtual_tokens=3)), rows(family)
    with attach(seeing(family), tokenizer(), made) as prompted, torch.no_grad():
        for side in ("left", "right"):
            batch = given(family, asked, side=side)
            found = prompted(**batch).logits
            for row, own, mine in zip(asked, found, batch["attention_mask"].bool(), strict=True):
                close(own[mine], by_cache(family, made, row), 1e-4)


@every_family
@pytest.mark.parametrize("options", [{}, {"num_beams": 2}, {"use_cache": False}], ids=["greedy", "beams", "uncached"])
def test_generate_goes_on_with_words_as_words(family: str, options: dict[str, Any]) -> None:
    asked, common = rows(family), {"max_new_tokens": 5, "do_sample": False, **options}
    with attach(seeing(family), tokenizer(), worded(family)) as prompted:
        batch = prompted.generate(**given(family, asked), **common)
        for row, found in zip(asked, batch, strict=True):
            plain = seeing(family).generate(**given(family, [row], WORDS), **common)
            assert found[-5:].tolist() == plain[0, -5:].tolist()


@every_family
@pytest.mark.parametrize("method", [PTuningV2(num_virtual_tokens=3), CaPT(init_std=0.5)], ids=["p_tuning_v2", "capt"])
def test_generate_equals_step_by_step(family: str, method: Method) -> None:
    asked = rows(family)
    with attach(seeing(family), tokenizer(), random(family, method)) as prompted, torch.no_grad():
        batch = given(family, asked)
        found = prompted.generate(**batch, max_new_tokens=4, do_sample=False)[:, -4:]
        conditioning = batch["attention_mask"].bool()
        for _ in range(4):
            new = prompted(**batch, conditioning_mask=conditioning).logits[:, -1:].argmax(-1)
            batch["input_ids"] = torch.cat([batch["input_ids"], new], 1)
            batch["attention_mask"] = torch.nn.functional.pad(batch["attention_mask"], (0, 1), value=1)
            conditioning = torch.nn.functional.pad(conditioning, (0, 1))
            if "mm_token_type_ids" in batch:
                batch["mm_token_type_ids"] = torch.nn.functional.pad(batch["mm_token_type_ids"], (0, 1))
        assert found.tolist() == batch["input_ids"][:, -4:].tolist()


@every_spatial
@pytest.mark.parametrize("method", ["words", "p_tuning_v2"])
@pytest.mark.parametrize("axes", [3, 4])
def test_positions_that_are_given_move_as_the_models_own(family: str, method: str, axes: int) -> None:
    made = worded(family) if method == "words" else random(family, PTuningV2(num_virtual_tokens=3))
    batch = given(family, rows(family)[:2])
    own, _ = seeing(family).model.get_rope_index(
        batch["input_ids"], batch["mm_token_type_ids"], batch["image_grid_thw"], attention_mask=batch["attention_mask"]
    )
    text = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
    told = own if axes == 3 else torch.cat([text[None], own])
    mine = batch["attention_mask"].bool()
    with attach(seeing(family), tokenizer(), made) as prompted, torch.no_grad():
        close(prompted(**batch, position_ids=told).logits[mine], prompted(**batch).logits[mine], 1e-4)
        common = {"max_new_tokens": 4, "do_sample": False}
        assert torch.equal(
            prompted.generate(**batch, **common, position_ids=told), prompted.generate(**batch, **common)
        )


@every_spatial
@pytest.mark.parametrize("placement", ["after_bos", "end"])
def test_virtual_tokens_count_as_text_wherever_they_stand(family: str, placement: str) -> None:
    """Behind an image at the end of the row, too, whose last token is not the furthest on every axis."""
    whole = given(family, [Row(2, 1, 4, 8)])  # two words and an image
    of_tokens = ("input_ids", "attention_mask", "mm_token_type_ids")
    batch = {name: one[:, :-1] if name in of_tokens else one for name, one in whole.items()}  # which ends the row
    at = 1 if placement == "after_bos" else batch["input_ids"].shape[1]
    literal = {**batch}
    for name, filling in zip(of_tokens, (WORDS, WORDS * 0 + 1, WORDS * 0), strict=True):
        literal[name] = torch.cat([batch[name][:, :at], filling, batch[name][:, at:]], 1)
    own, _ = seeing(family).model.get_rope_index(
        batch["input_ids"], batch["mm_token_type_ids"], batch["image_grid_thw"], attention_mask=batch["attention_mask"]
    )
    with attach(seeing(family), tokenizer(), worded(family, placement)) as prompted, torch.no_grad():
        plain = seeing(family)(**literal).logits[0]
        plain = torch.cat([plain[:at], plain[at + 3 :]])
        close(prompted(**batch).logits[0], plain, 1e-4)
        close(prompted(**batch, position_ids=own).logits[0], plain, 1e-4)
        after = prompted.generate(**batch, max_new_tokens=4, do_sample=False)
        assert (
            after[0, -4:].tolist()
            == seeing(family).generate(**literal, max_new_tokens=4, do_sample=False)[0, -4:].tolist()
        )


def test_packed_documents_of_several_axes_are_refused() -> None:
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    packed = torch.tensor([[0, 1, 2, 0, 1]]).expand(4, 1, -1)
    with (
        attach(seeing("qwen2_vl"), tokenizer(), worded("qwen2_vl")) as prompted,
        pytest.raises(SoftPromptError, match="of several axes restart in a row: give it one document a row"),
    ):
        prompted(input_ids=ids, position_ids=packed)


@every_family
def test_a_batch_with_images_is_not_run_as_one_row(family: str) -> None:
    batch = given(family, rows(family))
    mine = batch["attention_mask"].bool()
    with attach(seeing(family), tokenizer(), worded(family)) as prompted, torch.no_grad():
        close(prompted(**batch, use_cache=False).logits[mine], prompted(**batch, use_cache=True).logits[mine], 1e-4)
