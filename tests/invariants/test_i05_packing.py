"""I5: a document in a packed row gives what it gives alone.

Packed rows are those of transformers: no mask, and positions that restart. Its encoders read no documents from
positions (a plain BERT mixes them), so the invariant speaks of decoder-only models.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from softprompt.attached.attach import attach
from softprompt.attached.model import PromptedModel
from softprompt.errors import SoftPromptError
from softprompt.methods import CaPT, PromptTuning, PTuningV2

from ..shared.models import ids, model, tokenizer
from ..shared.prompts import close, every_decoder, every_method, producer, tiny

DOCUMENTS = [ids(5, 1), ids(1, 2), ids(7, 3), ids(2, 4)]


def packed(documents: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The ids and positions of one row, each `(1, tokens)`."""
    return torch.cat(documents, 1), torch.cat([torch.arange(d.shape[1]) for d in documents])[None]


def check(prompted: PromptedModel, documents: list[Tensor], together: Tensor, **options: str) -> None:
    parts = together.split([d.shape[1] for d in documents])
    for document, part in zip(documents, parts, strict=True):
        close(part, prompted(input_ids=document, **options).logits[0])


@every_decoder
@every_method
def test_documents(family: str, method: str) -> None:
    with tiny(family, method) as prompted, torch.no_grad():
        row, positions = packed(DOCUMENTS)
        check(prompted, DOCUMENTS, prompted(input_ids=row, position_ids=positions).logits[0])


@every_decoder
@pytest.mark.parametrize("kind", ["after_bos", "capt", "prefix"])
def test_rows_with_different_numbers_of_documents(family: str, kind: str) -> None:
    method = {
        "after_bos": PromptTuning(num_virtual_tokens=3, init="random_uniform", placement="after_bos"),
        "capt": CaPT(init_std=0.5),
        "prefix": PTuningV2(num_virtual_tokens=2, init_std=1.0),
    }[kind]
    with tiny(family, method) as prompted, torch.no_grad():
        many, few = DOCUMENTS, [ids(9, 5), ids(6, 6)]
        batch, positions = (torch.cat(pair) for pair in zip(packed(many), packed(few), strict=True))
        out = prompted(input_ids=batch, position_ids=positions).logits
        check(prompted, many, out[0])
        check(prompted, few, out[1])


@every_decoder
def test_rows_of_different_prompts(family: str) -> None:
    backbone = model(family)
    made = {"long": producer(backbone, "prompt_tuning"), "capt": producer(backbone, "capt")}
    with attach(backbone, tokenizer(), made) as prompted, torch.no_grad():
        one, two = [ids(5, 1), ids(4, 2)], [ids(3, 3), ids(6, 4)]
        batch, positions = (torch.cat(pair) for pair in zip(packed(one), packed(two), strict=True))
        out = prompted(input_ids=batch, position_ids=positions, prompts=["long", "capt"]).logits
        check(prompted, one, out[0], prompts="long")
        check(prompted, two, out[1], prompts="capt")


@every_decoder
@pytest.mark.parametrize("method", ["prompt_tuning", "capt"])
def test_documents_in_which_a_template_placed_the_prompt(family: str, method: str) -> None:
    with tiny(family, method) as prompted, torch.no_grad():
        slots = prompted.slots[0]
        virtual = torch.arange(slots.base, slots.base + slots.count)[None]
        documents = [torch.cat([d[:, :2], virtual, d[:, 2:]], 1) for d in (ids(5, 1), ids(6, 2))]
        row, positions = packed(documents)
        check(prompted, documents, prompted(input_ids=row, position_ids=positions).logits[0])


@every_decoder
@every_method
def test_labels_of_a_packed_row(family: str, method: str) -> None:
    """Answers in one document condition no other document, and none of their own."""
    with tiny(family, method) as prompted, torch.no_grad():
        row, positions = packed(DOCUMENTS)
        labels = torch.full_like(row, -100)
        labels[:, 3:5], labels[:, -1:] = row[:, 3:5], row[:, -1:]
        out = prompted(input_ids=row, position_ids=positions, labels=labels)
        alone = [
            prompted(input_ids=d, labels=one).logits[0]
            for d, one in zip(DOCUMENTS, labels.split([d.shape[1] for d in DOCUMENTS], 1), strict=True)
        ]
        close(out.logits[0], torch.cat(alone))


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("method", ["capt", "prompt_tuning"])
def test_an_encoder_refuses_packed_rows(family: str, method: str) -> None:
    with tiny(family, method) as prompted:
        row, positions = packed(DOCUMENTS)
        with pytest.raises(SoftPromptError, match=f"family '{family}' attends across packed documents"):
            prompted(input_ids=row, position_ids=positions + prompted.anatomy.position_offset)
