"""The first pass over the plain model, of which a prompt's vectors are made."""

from __future__ import annotations

import torch
from torch import Tensor

from softprompt.attached.attach import attach
from softprompt.backbones.anatomy import read_anatomy
from softprompt.methods import IDPG
from softprompt.methods.parts.first_pass import FirstPass

from ...shared.images import seeing
from ...shared.models import ids, model, padded, tokenizer
from ...shared.prompts import attached, close, every_family, logits


@every_family
def test_the_first_pass_is_the_plain_model_s(family: str) -> None:
    """No hook of a prompt works in it, whatever is attached, and no padding counts."""
    backbone, rows = model(family), [ids(7, 1), ids(4, 2)]
    part = read_anatomy(backbone)
    with attached(backbone, IDPG(num_virtual_tokens=2)) as prompted, torch.no_grad():
        seen: list[tuple[Tensor, Tensor]] = []
        prompted.prompts[0].first_pass = lambda view: seen.append(FirstPass(part)(view)) or seen[-1]
        logits(prompted, *padded(rows, "left"))
    states, text = seen[0]
    with torch.no_grad():
        for row, found, own in zip(rows, states, text, strict=True):
            close(found[own], part.body(input_ids=row).last_hidden_state[0], 1e-5)


@torch.no_grad()
def test_what_was_generated_before_has_no_part_in_it() -> None:
    """Qwen2-VL keeps how far its rows' positions lie behind their columns, one for each row, and reads it again."""
    backbone, row = seeing("qwen2_vl"), ids(7, 1)
    with attach(backbone, tokenizer(), IDPG(num_virtual_tokens=2)) as prompted:
        expected = prompted(input_ids=row).logits
    backbone.generate(input_ids=row.repeat(2, 1), max_new_tokens=1, min_new_tokens=1)
    with attach(backbone, tokenizer(), IDPG(num_virtual_tokens=2)) as prompted:
        close(prompted(input_ids=row).logits, expected, 1e-5)
