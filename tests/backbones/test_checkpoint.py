"""What a checkpoint asks for: no pickle, no code, no adapter unasked, no memory that its files do not fill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from softprompt.errors import SoftPromptError

from ..attacks.backbones import attack
from ..shared.checkpoints import IDS, WORDS, edit, load_plain, refusal


def test_nothing_planted_is_run_and_a_part_of_the_damage() -> None:
    """`benchmarks/reliability.py --only backbones` tries every damage."""
    found = attack(lambda count: None, every=67, flips=20, most=60)
    assert found.keys() == {"refused in one line", "loaded"}
    assert found["refused in one line"] > 30


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"num_hidden_layers": 10**6},
            "asks for 1,000,000 num_hidden_layers, and its 21 weights fill fewer",
        ),
        ({"num_experts": 5000}, "asks for 5,000 num_experts"),
        ({"hidden_size": 10**6, "intermediate_size": 10**6}, "config.json describes .* weights, and the files hold"),
        ({"vocab_size": 10**9}, "config.json describes .* weights, and the files hold"),
        ({"attn_implementation": "org/evil"}, "asks for code of the hub"),
    ],
)
def test_sizes_are_weighed_before_they_are_made(changes: dict[str, Any], told: str, folder: Path) -> None:
    edit(folder / "config.json", **changes)
    with pytest.raises(SoftPromptError, match=told):
        load_plain(folder)


def test_shards_beside_the_config_are_read(folder: Path) -> None:
    expected = load_plain(folder)(IDS).logits
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    place = {name: f"model-0000{1 + index % 2}-of-00002.safetensors" for index, name in enumerate(tensors)}
    for shard in set(place.values()):
        own = {name: value for name, value in tensors.items() if place[name] == shard}
        save_file(own, folder / shard, metadata={"format": "pt"})
    edit(folder / "model.safetensors.index.json", metadata={"total_size": 1}, weight_map=place)
    assert torch.equal(load_plain(folder)(IDS).logits, expected)
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "model.safetensors.index.json names model-00002-of-00002.safetensors, which is not there" in refusal(folder)


def test_a_weight_that_is_no_number(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][3] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert "its weight model.norm.weight holds NaN or infinity" in refusal(folder)


def test_ids_beyond_the_embedding(folder: Path) -> None:
    whole = json.loads((folder / "tokenizer.json").read_text())
    whole["model"]["vocab"][WORDS[-1]] = 10**6
    (folder / "tokenizer.json").write_text(json.dumps(whole))
    assert "the tokenizer has the id 1,000,000, but the model embeds 8" in refusal(folder)


def test_a_document_that_is_too_long(folder: Path) -> None:
    with (folder / "config.json").open("r+b") as file:
        file.truncate(40 << 20)
    assert "config.json has 41,943,040 bytes, at most" in refusal(folder)
