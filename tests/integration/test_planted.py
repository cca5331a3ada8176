"""A planted task: labels that hang on a state which one layer's prompt alone can read and hand on.

The label is which of two markers comes first. The frozen model is six layers of which four do nothing:

    layer k - 1   each token learns how often it has seen either marker, in two directions that nothing else reads
    layer k       one direction, in which no text token has anything, is handed on: a virtual token's alone
    the head      reads that direction

The generator of layer k pools states that tell the order and writes what layer k hands on. Below it, pooled states
are those of a bag of words; above it, no attention looks at a virtual token.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from softprompt.methods import SPT
from softprompt.tasks import Task
from softprompt.training.run import Run, train

from ..shared.models import VOCABULARY, tokenizer

pytestmark = pytest.mark.no_cover  # a thousand steps of lines that test_search.py counts

DEPTH, WIDTH = 6, 16
FIRST, SECOND = 20, 30  # the markers' ids
MARKERS, SEEN, HANDED, FILLING = (0, 1), (2, 3), 4, range(5, WIDTH)  # directions of the states


def planted(layer: int) -> Any:
    """The frozen model, for which `layer` is the one."""
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, num_hidden_layers=DEPTH, num_attention_heads=2,
        num_key_value_heads=2, intermediate_size=8, max_position_embeddings=64, pad_token_id=0,
        tie_word_embeddings=False,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    drawn = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:  # without scores every attention is uniform; without outputs a layer does nothing
                parameter.zero_()
        words = model.model.embed_tokens.weight
        words[:, FILLING] = torch.nn.functional.normalize(
            torch.randn(VOCABULARY, len(FILLING), generator=drawn), dim=-1
        )
        counting, handing = (model.model.layers[index].self_attn for index in (layer - 1, layer))
        for marker, direction, seen in zip((FIRST, SECOND), MARKERS, SEEN, strict=True):
            words[marker] = torch.nn.functional.one_hot(torch.tensor(direction), WIDTH)
            counting.v_proj.weight[direction, direction] = 1.0
            counting.o_proj.weight[seen, direction] = 1.0
        handing.v_proj.weight[0, HANDED] = 1.0
        handing.o_proj.weight[HANDED, 0] = 8.0
        model.lm_head.weight[10, HANDED], model.lm_head.weight[11, HANDED] = 1.0, -1.0
    return model


def task(folder: Path, seed: int) -> Task:
    """Marker, fillers, marker, filler; as many rows of each order."""
    chance = random.Random(seed)

    def line(label: int) -> str:
        words = [f"w{chance.randint(40, 99)}" for _ in range(4)]
        first, second = (FIRST, SECOND) if label else (SECOND, FIRST)
        return json.dumps({"text": " ".join([f"w{first}", *words[:3], f"w{second}", words[3]]), "label": str(label)})

    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in {"train": 64, "validation": 32, "test": 64}.items():
        (folder / f"{name}.jsonl").write_text("".join(line(index % 2) + "\n" for index in range(rows)))
    return Task(template="{text} {mask}", labels={"0": "w10", "1": "w11"}).with_data(folder)


def trained(folder: Path, seed: int, layer: int, select: str) -> Run:
    """SPT with one virtual token on the planted task; the search as it is by default."""
    return train(
        planted(layer), tokenizer(), task(folder / "data", seed),
        SPT(select=select, num_virtual_tokens=1, bottleneck=16), output=folder / "run", seed=seed, progress=False,
        max_steps=50, evaluations=1, patience=9, learning_rate=0.03, batch_size=16,
    )  # fmt: skip


def found(folder: Path, seed: int) -> bool:
    """Whether the search keeps the one layer that can help; which it is goes with the seed."""
    layer = 2 + seed % 3
    done = trained(folder, seed, layer, "learned:1")
    kept = done.metrics["kept_layers"] == [layer]
    assert (done.metrics["test"]["accuracy"] > 0.95) is kept
    return kept


@pytest.mark.parametrize("layer", range(DEPTH))
def test_one_layer_can_help(layer: int, tmp_path: Path) -> None:
    accuracy = trained(tmp_path, 0, 3, str(layer)).metrics["test"]["accuracy"]
    assert accuracy > 0.95 if layer == 3 else accuracy < 0.65


def test_the_search_finds_it_wherever_it_is(tmp_path: Path) -> None:
    """A layer drawn at random would be the one on a sixth of the seeds."""
    assert all(found(tmp_path / str(seed), seed) for seed in range(3))


@pytest.mark.slow
def test_the_search_finds_it_on_nine_of_ten_seeds(tmp_path: Path) -> None:
    assert sum(found(tmp_path / str(seed), seed) for seed in range(10)) >= 9
