"""Tiny random models of text and images, and rows of words around an image."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForImageTextToText

from .models import PAD, VOCABULARY, ids

IMAGE, VIDEO, START, END = 95, 96, 97, 98
_TOKENS = {
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
    "vision_start_token_id": START,
    "vision_end_token_id": END,
    "image_start_token_id": START,
    "image_end_token_id": END,
    "image_token_index": IMAGE,
}
_TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 37,
    "max_position_embeddings": 128,
    "pad_token_id": PAD,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]},
}
_GRID = {"depth": 1, "patch_size": 4, "spatial_merge_size": 2, "temporal_patch_size": 2, "num_heads": 2}
_VISION: dict[str, dict[str, Any]] = {
    "qwen2_vl": {**_GRID, "embed_dim": 16, "hidden_size": 32, "mlp_ratio": 2, "in_channels": 3},
    "qwen2_5_vl": {
        **_GRID,
        "hidden_size": 16,
        "out_hidden_size": 32,
        "intermediate_size": 37,
        "window_size": 16,
        "fullatt_block_indexes": [0],
    },
    "qwen3_vl": {
        **_GRID,
        "hidden_size": 16,
        "out_hidden_size": 32,
        "intermediate_size": 37,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    },
    "glm4v": {**_GRID, "hidden_size": 16, "out_hidden_size": 32, "intermediate_size": 37, "image_size": 16},
    "llava": {
        "model_type": "clip_vision_model",
        "hidden_size": 16,
        "intermediate_size": 37,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 4,
    },
}
# Their positions have three axes.
SPATIAL = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "glm4v")
FAMILIES = (*SPATIAL, "llava")


@functools.cache
def seeing(family: str) -> Any:
    """A tiny model of text and images whose every weight matters."""
    text = {**_TEXT, "model_type": "llama"} if family == "llava" else _TEXT
    if family == "glm4v":
        text = {**text, "rope_parameters": {**_TEXT["rope_parameters"], "partial_rotary_factor": 1.0}}  # type: ignore[dict-item]
    if family == "llava":
        text.pop("rope_parameters", None)
    config = AutoConfig.for_model(family, text_config=text, vision_config=_VISION[family], **_TOKENS)
    torch.manual_seed(0)
    made = AutoModelForImageTextToText.from_config(config).eval()
    with torch.no_grad():
        for weight in made.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.2)
    made.generation_config.eos_token_id = None
    return made


@dataclass(frozen=True)
class Row:
    """Words, and an image of `height` by `width` patches between them where there is one."""

    words: int
    seed: int
    height: int = 0
    width: int = 0


def given(family: str, rows: list[Row], before: Tensor | None = None, side: str = "left") -> dict[str, Tensor]:
    """What a model is given for rows, padded.

    Args:
        family: of `FAMILIES`.
        rows: their images have the same size in LLaVA, which knows one.
        before: ids that stand in front of each row, `(1, P)`.
        side: where the padding goes.
    """
    made = [_ids(family, row) for row in rows]
    made = made if before is None else [torch.cat([before[0], one]) for one in made]
    width = max(map(len, made))
    empty = [(width - len(one),) for one in made]
    pads = [(gap, 0) if side == "left" else (0, gap) for (gap,) in empty]
    whole = torch.stack([torch.nn.functional.pad(one, pad, value=PAD) for one, pad in zip(made, pads, strict=True)])
    mask = torch.stack(
        [torch.nn.functional.pad(torch.ones_like(one), pad) for one, pad in zip(made, pads, strict=True)]
    )
    found = {"input_ids": whole, "attention_mask": mask}
    pictures = [row for row in rows if row.height]
    if not pictures:
        return found
    torch.manual_seed(sum(row.seed for row in pictures))
    if family == "llava":
        return {**found, "pixel_values": torch.cat([_pixels(row, (1, 3, 16, 16)) for row in pictures])}
    grid = torch.tensor([[1, row.height, row.width] for row in pictures])
    patches = [_pixels(row, (row.height * row.width, 3 * 2 * 4 * 4)) for row in pictures]
    kinds = whole.eq(IMAGE).long()
    return {**found, "pixel_values": torch.cat(patches), "image_grid_thw": grid, "mm_token_type_ids": kinds}


def _ids(family: str, row: Row) -> Tensor:
    words = ids(row.words, row.seed)[0].clamp(max=VOCABULARY - 10)
    if not row.height:
        return words
    count = 16 if family == "llava" else row.height * row.width // 4
    image = torch.tensor([START, *[IMAGE] * count, END])
    return torch.cat([words[:2], image, words[2:]])


def _pixels(row: Row, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(row.seed))
