"""Tiny models whose weights rest on a disk or in the CPU's memory between calls, as a `device_map` asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .models import fresh

MAPS: dict[str, dict[str, str]] = {
    "llama": {
        "model.embed_tokens": "disk",
        "model.layers.0": "cpu",
        "model.layers.1": "disk",
        "model.layers.2": "cpu",
        "model.norm": "cpu",
        "model.rotary_emb": "cpu",
        "lm_head": "disk",
    },
    "gpt2": {
        "transformer.wte": "disk",
        "transformer.wpe": "cpu",
        "transformer.h": "disk",
        "transformer.ln_f": "cpu",
        "lm_head": "disk",
    },
    "bert": {"bert.embeddings": "disk", "bert.encoder": "cpu", "cls": "disk"},
    "t5": {"": "disk"},
}


def resting(family: str, place: Path) -> tuple[Any, Any]:
    """A model, and the same with its weights elsewhere.

    Args:
        family: of `MAPS`.
        place: a folder of the test's own.
    """
    whole = fresh(family)
    whole.save_pretrained(place / "model")
    kind: Any = type(whole)
    parted = kind.from_pretrained(place / "model", device_map=MAPS[family], offload_folder=place / "rest").eval()
    assert parted.get_input_embeddings().weight.is_meta
    return whole, parted
