"""P-Tuning v2: PEFT's prefix tuning, words' own keys and values, and the re-parametrised table."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft import PrefixTuningConfig, get_peft_model
from transformers import DynamicCache

from softprompt.attached.attach import attach
from softprompt.methods import PTuningV2
from softprompt.methods.parts.prefixes import Prefixes

from ..shared.models import HIDDEN, LAYERS, ids, model, padded
from ..shared.prompts import attached, call, close, every_decoder, every_family, logits, producer, tiny

EXAMPLES = {
    "p_tuning_v2": {"method": "p_tuning_v2", "num_virtual_tokens": 3, "init_std": 1.0},
    "p_tuning_v2_projection": {
        "method": "p_tuning_v2",
        "num_virtual_tokens": 2,
        "prefix_projection": True,
        "encoder_hidden_size": 16,
        "init_std": 1.0,
    },
}

P = 5
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def tuned_by_peft(backbone: Any, task: str, **options: Any) -> Any:
    peft = get_peft_model(copy.deepcopy(backbone), PrefixTuningConfig(task_type=task, num_virtual_tokens=P, **options))
    with torch.no_grad():
        for parameter in peft.prompt_encoder.parameters():
            parameter.normal_(0, 0.6, generator=torch.Generator().manual_seed(5))
    return peft.eval()


# A wide window: PEFT's prefix lies in the cache, where a sliding window drops it after a while; here every layer keeps
# its prefix.
@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2", "gemma3"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_pefts_language_models(family: str, side: str) -> None:
    """PEFT takes no positions from a mask in forward (it counts from the left), so padded rows get theirs here."""
    backbone = model(family, window=64) if family == "gemma3" else model(family)
    peft = tuned_by_peft(backbone, "CAUSAL_LM")
    with attached(backbone, PTuningV2(num_virtual_tokens=P)) as prompted, torch.no_grad():
        prompted.prompts[0].body.table.copy_(peft.prompt_encoder["default"].embedding.weight)
        for rows in ([ids(7, 1)], [ids(7, 1), ids(4, 2)]):
            batch, mask = padded(rows, side)
            for row, mine in zip(rows, logits(prompted, batch, mask), strict=True):
                alone = peft(input_ids=row, attention_mask=torch.ones_like(row)).logits[0]
                close(mine, alone, 1e-5)


@pytest.mark.parametrize("head", ["body", "sequence", "token"])
def test_pefts_bert(head: str) -> None:
    backbone = model("bert").bert if head == "body" else model("bert", head)
    task = {"body": "FEATURE_EXTRACTION", "sequence": "SEQ_CLS", "token": "TOKEN_CLS"}[head]
    peft = tuned_by_peft(backbone, task)
    with attached(backbone, PTuningV2(num_virtual_tokens=P)) as prompted, torch.no_grad():
        prompted.prompts[0].body.table.copy_(peft.prompt_encoder["default"].embedding.weight)
        batch, mask = padded([ids(7, 1), ids(4, 2)], "right")
        mine, theirs = (m(input_ids=batch, attention_mask=mask)[0] for m in (prompted, peft))
        close(*((mine, theirs) if head == "sequence" else (mine[mask.bool()], theirs[mask.bool()])), 1e-5)


def test_pefts_projection() -> None:
    """On GPT-2: where key-value heads are few, PEFT makes its embedding as narrow as they are, not d."""
    peft = tuned_by_peft(model("gpt2"), "CAUSAL_LM", prefix_projection=True, encoder_hidden_size=16)
    theirs = peft.prompt_encoder["default"]
    method = PTuningV2(num_virtual_tokens=P, prefix_projection=True, encoder_hidden_size=16)
    with attached(model("gpt2"), method) as prompted, torch.no_grad():
        mine = prompted.prompts[0].body
        mine.table.copy_(theirs.embedding.weight)
        mine.project.load_state_dict(theirs.transform.state_dict())
        row = ids(7)
        close(prompted(input_ids=row).logits, peft(input_ids=row, attention_mask=torch.ones_like(row)).logits, 1e-5)


@every_decoder
def test_keys_and_values_of_words_are_these_words(family: str) -> None:
    """A prefix that holds the words' own cache continues as after the words."""
    backbone = model(family, window=64) if family == "gemma3" else model(family)
    words, row = ids(4, 8), ids(6, 1)
    cache = DynamicCache()
    with torch.no_grad():
        backbone(input_ids=words, past_key_values=cache, use_cache=True)
        expected = backbone(input_ids=torch.cat([words, row], dim=1)).logits[:, 4:]
    flat = torch.stack([torch.stack([layer.keys[0], layer.values[0]]) for layer in cache.layers])  # [L, 2, K, P, D]
    with attached(backbone, PTuningV2(num_virtual_tokens=4)) as prompted, torch.no_grad():
        prompted.prompts[0].body.table.copy_(flat.permute(3, 0, 1, 2, 4).flatten(1))
        close(prompted(input_ids=row).logits, expected, 1e-5)


@every_family
def test_a_reparametrised_table_is_the_table_that_it_makes(family: str) -> None:
    backbone = model(family)
    with attached(backbone, "p_tuning_v2_projection") as prompted, torch.no_grad():
        expected = call(prompted, ids(6)).logits
        stored = prompted.prompts[0].stored()
        assert list(stored) == ["table"]
    direct = producer(backbone, PTuningV2(num_virtual_tokens=2))
    direct.load_stored(stored)
    again = producer(backbone, "p_tuning_v2_projection", seed=9)
    again.load_stored(stored)
    for made in (direct, again):
        with attach(backbone, None, made) as prompted, torch.no_grad():
            close(call(prompted, ids(6)).logits, expected, 1e-6)
            assert sum(p.numel() for p in made.parameters()) == stored["table"].numel()


@every_family
def test_scalars(family: str) -> None:
    with tiny(family, PTuningV2(num_virtual_tokens=4)) as prompted:
        part = prompted.anatomy
        width = part.num_key_value_heads * part.head_dim
        made = prompted.prompts[0]
        assert isinstance(made, Prefixes)
        assert sum(p.numel() for p in made.parameters()) == 2 * LAYERS * 4 * width
    m = 16
    with tiny(family, PTuningV2(num_virtual_tokens=4, prefix_projection=True, encoder_hidden_size=m)) as prompted:
        total = 4 * HIDDEN + m * (HIDDEN + 1) + (m + 1) * 2 * LAYERS * width
        assert sum(p.numel() for p in prompted.parameters() if p.requires_grad) == total
        assert sum(value.numel() for value in prompted.prompts[0].stored().values()) == 2 * LAYERS * 4 * width


def test_dropout_falls_on_keys_and_values_while_training_only() -> None:
    with tiny("llama", PTuningV2(num_virtual_tokens=4, init_std=1.0, dropout=0.5)) as prompted, torch.no_grad():
        row = ids(5)
        still = prompted(input_ids=row).logits
        assert torch.equal(prompted(input_ids=row).logits, still)
        prompted.train()
        assert not torch.equal(prompted(input_ids=row).logits, still)
