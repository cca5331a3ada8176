"""Prompt Tuning: PEFT's logits, its initialisations, and vectors of words that are these words."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft import PromptTuningConfig, get_peft_model

from softprompt.attached.attach import attach
from softprompt.methods import PromptTuning

from ..shared.models import ids, model, padded, tokenizer
from ..shared.prompts import attached, call, close, every_family, logits, tiny

EXAMPLES = {
    "prompt_tuning": {
        "method": "prompt_tuning",
        "num_virtual_tokens": 4,
        "init": "random_uniform",
        "init_bound": 1.0,
    }
}

P = 5
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def tuned_by_peft(backbone: Any, task: str) -> tuple[Any, torch.Tensor]:
    """A copy under PEFT's prompt tuning, and its table."""
    peft = get_peft_model(copy.deepcopy(backbone), PromptTuningConfig(task_type=task, num_virtual_tokens=P)).eval()
    table = peft.prompt_encoder["default"].embedding.weight
    with torch.no_grad():
        table.normal_(0, 1, generator=torch.Generator().manual_seed(5))
    return peft, table.detach()


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2", "gemma3"])
def test_pefts_language_models(family: str) -> None:
    """PEFT's logits come with the virtual tokens' columns in front.

    It counts positions from the left whatever the padding is: it is right without padding and with it on the right.
    """
    peft, table = tuned_by_peft(model(family), "CAUSAL_LM")
    with attached(model(family), PromptTuning(num_virtual_tokens=P)) as prompted, torch.no_grad():
        prompted.prompts[0].table.copy_(table)
        for rows in ([ids(7, 1)], [ids(7, 1), ids(4, 2)]):
            batch, mask = padded(rows, "right")
            theirs = peft(input_ids=batch, attention_mask=mask).logits[:, P:]
            for row, seen, mine in zip(theirs, mask, logits(prompted, batch, mask), strict=True):
                close(mine, row[seen.bool()], 1e-5)


@pytest.mark.parametrize("head", ["body", "token"])
def test_pefts_bert(head: str) -> None:
    """Features and token logits. (PEFT's sequence head reads column 0, its first virtual token, not [CLS].)"""
    backbone = model("bert").bert if head == "body" else model("bert", "token")
    peft, table = tuned_by_peft(backbone, "FEATURE_EXTRACTION" if head == "body" else "TOKEN_CLS")
    with attached(backbone, PromptTuning(num_virtual_tokens=P)) as prompted, torch.no_grad():
        prompted.prompts[0].table.copy_(table)
        batch, mask = padded([ids(7, 1), ids(4, 2)], "right")
        theirs, mine = (
            peft(input_ids=batch, attention_mask=mask)[0][:, P:],
            prompted(input_ids=batch, attention_mask=mask)[0],
        )
        close(mine[mask.bool()], theirs[mask.bool()], 1e-5)


@every_family
@pytest.mark.parametrize("placement", ["front", "after_bos", "end"])
def test_vectors_of_words_are_these_words(family: str, placement: str) -> None:
    """Rows e(w1), ..., e(wk) give what prepending the words themselves gives."""
    words = torch.tensor([[30, 41, 52]])
    row = ids(6)
    at = {"front": 0, "after_bos": 1, "end": 6}[placement]
    literal = torch.cat([row[:, :at], words, row[:, at:]], dim=1)
    method = PromptTuning(num_virtual_tokens=3, init="text", init_text="w30 w41 w52", placement=placement)
    with attach(model(family), tokenizer(), method) as prompted, torch.no_grad():
        mine = call(prompted, row).logits
    with tiny(family, "hard_prompt") as plain, torch.no_grad():
        theirs = call(plain, literal).logits
        if plain.anatomy.kind != "encoder-decoder":
            theirs = torch.cat([theirs[:, :at], theirs[:, at + 3 :]], dim=1)
    close(mine, theirs, 1e-5)


@every_family
def test_scalars(family: str) -> None:
    with tiny(family, PromptTuning(num_virtual_tokens=7)) as prompted:
        trained = [p for p in prompted.parameters() if p.requires_grad]
        assert sum(p.numel() for p in trained) == 7 * prompted.anatomy.embedding_size
