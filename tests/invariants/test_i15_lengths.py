"""I15: logits, states and losses have the user's length, for every head."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from softprompt.attached.model import PromptedModel

from ..shared.models import CLASSES, CORE, EOS, HIDDEN, LAYERS, VOCABULARY, heads, ids, padded
from ..shared.prompts import call, close, every_family, every_method, tiny

N = 7
PAIRS = [(family, head) for family in CORE for head in heads(family)]
every_pair = pytest.mark.parametrize(("family", "head"), PAIRS)


def batch(family: str, head: str) -> dict[str, Tensor]:
    rows = [ids(N, 1), ids(5, 2), ids(6, 3)]
    if family in ("t5", "bart") and head == "sequence":  # its head reads the state of the end token
        rows = [torch.cat([row[:, :-1], torch.tensor([[EOS]])], 1) for row in rows]
    given, mask = padded(rows, "right")
    if head == "choice":
        given, mask = torch.stack([given, given.flip(1)], 1), torch.stack([mask, mask.flip(1)], 1)
    return {"input_ids": given, "attention_mask": mask}


def labels(head: str, given: dict[str, Tensor], encoder_decoder: bool) -> dict[str, Tensor]:
    if head == "lm":
        asked = torch.where(given["attention_mask"].bool(), given["input_ids"], -100)
        return {"labels": asked[:, :4].contiguous() if encoder_decoder else asked}
    if head == "token":
        return {"labels": torch.where(given["attention_mask"].bool(), given["input_ids"] % CLASSES, -100)}
    if head == "question":
        return {"start_positions": torch.tensor([1, 2, 3]), "end_positions": torch.tensor([3, 4, 5])}
    return {"labels": torch.tensor([1, 0, 1])}


@every_pair
@every_method
def test_every_head(family: str, head: str, method: str) -> None:
    with tiny(family, method, head) as prompted, torch.no_grad():
        given = batch(family, head)
        asked = labels(head, given, prompted.anatomy.kind == "encoder-decoder")
        out = prompted(**given, **asked)
        assert torch.isfinite(out.loss)
        shapes = {"sequence": (3, CLASSES), "token": (3, N, CLASSES), "choice": (3, 2)}
        if head == "question":
            assert out.start_logits.shape == out.end_logits.shape == (3, N)
            start, end = (
                cross_entropy(logits, asked[name])
                for logits, name in ((out.start_logits, "start_positions"), (out.end_logits, "end_positions"))
            )
            close(out.loss, (start + end) / 2, 1e-5)
        elif head == "lm":
            assert out.logits.shape == (*asked["labels"].shape, VOCABULARY)
            shifted = prompted.anatomy.kind == "causal"
            logits = out.logits[:, :-1] if shifted else out.logits
            wanted = asked["labels"][:, 1:] if shifted else asked["labels"]
            close(out.loss, cross_entropy(logits.flatten(0, 1), wanted.flatten()), 1e-5)
        else:
            assert out.logits.shape == shapes[head]
            close(out.loss, cross_entropy(out.logits.flatten(0, -2), asked["labels"].flatten()), 1e-5)


@every_pair
@every_method
def test_a_row_alone_and_padded(family: str, head: str, method: str) -> None:
    """Heads that read the first, the last or every token find it wherever the padding is."""
    if head == "choice":
        pytest.skip("its rows are rows of rows: see test_every_head")
    with tiny(family, method, head) as prompted, torch.no_grad():
        row = ids(5, 2)
        row[:, -1] = EOS if family in ("t5", "bart") else row[:, -1]
        alone = scores(prompted, head, {"input_ids": row})
        sides = ["right"] if family in ("t5", "bart") and head != "token" else ["left", "right"]
        for side in sides:
            given, mask = padded([row], side, 3)
            padded_scores = scores(prompted, head, {"input_ids": given, "attention_mask": mask})
            for one, two in zip(padded_scores, alone, strict=True):
                close(one[:, mask[0].bool()] if one.shape[1] == given.shape[1] != two.shape[1] else one, two)


def scores(prompted: PromptedModel, head: str, given: dict[str, Tensor]) -> list[Tensor]:
    extra = {}
    if prompted.anatomy.kind == "encoder-decoder" and head != "sequence":  # that one makes them of the input
        extra = {"decoder_input_ids": torch.tensor([[2, 11, EOS]])}
    out: Any = prompted(**given, **extra)
    return [out.start_logits, out.end_logits] if hasattr(out, "start_logits") else [out.logits]


@every_family
@every_method
def test_states(family: str, method: str) -> None:
    with tiny(family, method) as prompted, torch.no_grad():
        given, mask = padded([ids(N, 1), ids(4, 2)], "left")
        out = call(prompted, given, mask, output_hidden_states=True)
        name = "encoder_hidden_states" if prompted.anatomy.kind == "encoder-decoder" else "hidden_states"
        assert [states.shape for states in out[name]] == [(2, N, HIDDEN)] * (LAYERS + 1)
        states = prompted.states(input_ids=given, attention_mask=mask)
        assert states.shape == (2, N, HIDDEN)
        columns = torch.tensor([[1, 6], [6, 4]])
        picked = prompted.states(input_ids=given, attention_mask=mask, positions=columns)
        close(picked, states.gather(1, columns[..., None].expand(-1, -1, HIDDEN)), 1e-5)
        if prompted.anatomy.kind == "encoder-decoder":
            assert torch.equal(out.encoder_last_hidden_state, states)


@every_family
@every_method
def test_selected_logits(family: str, method: str) -> None:
    """`positions` gives the logits of these columns, in this order, and no others."""
    with tiny(family, method) as prompted, torch.no_grad():
        given, mask = padded([ids(N, 1), ids(4, 2)], "left")
        everywhere = call(prompted, given, mask).logits
        columns = torch.tensor([[1, 3, 0], [3, 2, 3]])
        picked = call(prompted, given, mask, positions=columns).logits
        close(picked, everywhere.gather(1, columns[..., None].expand(-1, -1, VOCABULARY)), 1e-5)


@every_family
@every_method
def test_a_tuple_and_positional_arguments(family: str, method: str) -> None:
    with tiny(family, method) as prompted, torch.no_grad():
        extra = {"decoder_input_ids": ids(3)} if prompted.anatomy.kind == "encoder-decoder" else {}
        out = prompted(
            input_ids=ids(5), attention_mask=torch.ones(1, 5, dtype=torch.long), output_hidden_states=True, **extra
        )
        plain = prompted(
            ids(5),
            attention_mask=torch.ones(1, 5, dtype=torch.long),
            output_hidden_states=True,
            return_dict=False,
            **extra,
        )
        assert isinstance(plain, tuple)
        assert torch.equal(plain[0], out.logits)
        widths = {
            states.shape[1] for part in plain if isinstance(part, tuple) for states in part if torch.is_tensor(states)
        }
        assert widths <= {5, 3}
