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

from ..models import VOCABULARY, tokenizer

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


def searched(folder: Path, seed: int, layer: int, select: str = "learned:1", **options: Any) -> Run:
    """SPT with one virtual token on the planted task."""
    given = {"max_steps": 80, "learning_rate": 0.02, "batch_size": 16, "patience": 99, **options}
    own = {name: given.pop(name) for name in list(given) if name in SPT.model_fields}
    return train(
        planted(layer), tokenizer(), task(folder / "data", seed), SPT(select=select, num_virtual_tokens=1,
        bottleneck=16, **own), output=folder / "run", seed=seed, progress=False, evaluations=2, **given,
    )  # fmt: skip


def layer_of(seed: int) -> int:
    """The one that matters: 2, 3 or 4 of 0 to 5."""
    return 2 + seed % 3


@pytest.mark.parametrize("layer", [1, 2, 3, 4])
def test_one_layer_alone_can_help(layer: int, tmp_path: Path) -> None:
    """A prompt at the planted layer learns the task; at its neighbours it guesses."""
    reached = searched(tmp_path, 0, 3, select=str(layer)).metrics["test"]["accuracy"]
    assert reached == 1.0 if layer == 3 else 0.3 < reached < 0.7


def test_the_search_finds_it(tmp_path: Path) -> None:
    for seed in (0, 1):
        assert searched(tmp_path / str(seed), seed, layer_of(seed), max_steps=240).metrics["kept_layers"] == [
            layer_of(seed)
        ]


@pytest.mark.slow
def test_the_search_finds_it_in_nine_of_ten_seeds(tmp_path: Path) -> None:
    """Chance would find it in one of six; measured: 10 of 10 (8 with 160 steps, 6 with 80)."""
    found = [
        searched(tmp_path / str(seed), seed, layer_of(seed), max_steps=240).metrics["kept_layers"] == [layer_of(seed)]
        for seed in range(10)
    ]
    assert sum(found) >= 9
