"""A soft prompt as keys and values that stand in front of the text: the past of a causal model of transformers."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import BatchEncoding, DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

FOLDER = Path(__file__).parent


def past(model: PreTrainedModel, rows: int = 1) -> DynamicCache:
    """The prompt for so many rows, new for each call of the model: `past_key_values`."""
    stored, cache = load_file(FOLDER / "keys_values.safetensors"), DynamicCache()
    for layer in range(len(stored) // 2):
        keys, values = (stored[f"{name}.{layer}"].to(model.device, model.dtype) for name in ("keys", "values"))
        cache.update(keys.expand(rows, *keys.shape), values.expand(rows, *values.shape), layer)
    return cache


def encode(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, **fields: str) -> dict[str, object]:
    """A row in the task's template, as keywords of the model: `content`, or the fields of a task of several."""
    template = (FOLDER / "chat_template.jinja").read_text(encoding="utf-8")
    row = tokenizer.apply_chat_template(
        [{"role": "user", **fields}], chat_template=template, return_dict=True, return_tensors="pt"
    )
    assert isinstance(row, BatchEncoding)
    ids, cache = row["input_ids"].to(model.device), past(model)
    seen = torch.ones(1, cache.get_seq_length() + ids.shape[1], dtype=torch.long, device=model.device)
    return {"input_ids": ids, "attention_mask": seen, "past_key_values": cache}
