"""What soft prompts are compared with: small set-ups for the invariants."""

from __future__ import annotations

import torch

from ..models import ids
from ..prompts import logits, model, tiny

EXAMPLES = {
    "hard_prompt": {"method": "hard_prompt"},
    "head_only": {"method": "head_only"},
    "full_finetuning": {"method": "full_finetuning"},
}


def test_a_hard_prompt_changes_nothing() -> None:
    given = ids(6)
    with tiny("llama", "hard_prompt") as prompted, torch.no_grad():
        found = logits(prompted, given)[0]
    assert torch.equal(found, model("llama")(given).logits[0])
