"""Virtual columns lent to a batch, and a last feed-forward at the selected columns, change nothing but rounding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from softprompt.sites import hooks
from softprompt.sites.shared import lend

from ..models import ids, padded
from ..prompts import close, every_decoder, logits, tiny

ROWS = [ids(7, 1), ids(4, 2), ids(5, 3)]
every_static = pytest.mark.parametrize("method", ["prompt_tuning", "deep_prompt"])


@pytest.fixture
def lent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the batches that were lent their columns."""
    counted: list[int] = []

    def counting(anatomy: Any, slots: Any, prompt: int, given: dict[str, Any]) -> Any:
        counted.append(len(given["input_ids"]))
        return lend(anatomy, slots, prompt, given)

    monkeypatch.setattr(hooks, "lend", counting)
    return counted


def step(prompted: Any, batch: Tensor, mask: Tensor, **options: Any) -> list[Tensor]:
    """The loss and every gradient."""
    prompted.zero_grad()
    seen = torch.cat(logits(prompted, batch, mask, **options))
    loss = (seen * torch.linspace(-1, 1, seen.numel()).view_as(seen)).mean()
    loss.backward()
    return [loss.detach(), *(p.grad.clone() for p in prompted.parameters() if p.grad is not None)]


@every_decoder
@every_static
@pytest.mark.parametrize("window", [5, 64])
@pytest.mark.parametrize("side", ["left", "right"])
def test_lent_columns_equal_each_rows_own(family: str, method: str, side: str, window: int, lent: list[int]) -> None:
    batch, mask = padded(ROWS, side)
    with tiny(family, method, window=window) as prompted:
        own = logits(prompted, batch, mask, use_cache=True)
        assert not lent
        shared = logits(prompted, batch, mask, use_cache=False)
        assert lent == [3]
        for one, other in zip(own, shared, strict=True):
            close(one, other, 1e-5)
        for one, other in zip(
            step(prompted, batch, mask, use_cache=True), step(prompted, batch, mask, use_cache=False), strict=True
        ):
            close(one, other, 1e-5)


@every_decoder
def test_columns_are_lent_without_a_mask_too(family: str, lent: list[int]) -> None:
    batch = torch.cat([ids(6, 1), ids(6, 2)])
    with tiny(family, "prompt_tuning") as prompted, torch.no_grad():
        for one, other in zip(
            logits(prompted, batch, use_cache=True), logits(prompted, batch, use_cache=False), strict=True
        ):
            close(one, other, 1e-5)
    assert lent == [2]


@pytest.mark.parametrize(
    "options",
    [{"output_attentions": True}, {"position_ids": torch.arange(5)[None]}, {"use_cache": None}],
    ids=["attention maps", "positions", "a cache"],
)
def test_what_would_show_is_not_lent(options: dict[str, Any], lent: list[int]) -> None:
    batch = torch.cat([ids(5, 1), ids(5, 2)])
    with tiny("llama", "prompt_tuning") as prompted:
        prompted.backbone.set_attn_implementation("eager")
        logits(prompted, batch, **{"use_cache": False, **options})
    assert not lent


def test_a_prompt_that_reads_its_row_is_not_lent(lent: list[int]) -> None:
    with tiny("llama", "capt") as prompted:
        logits(prompted, *padded(ROWS, "right"), use_cache=False)
    assert not lent


@every_decoder
@pytest.mark.parametrize("method", ["prompt_tuning", "capt", "p_tuning_v2"])
def test_selected_columns_equal_those_of_all(family: str, method: str) -> None:
    batch, mask = padded(ROWS, "left")
    chosen = torch.tensor([[batch.shape[1] - 1], [batch.shape[1] - 2], [batch.shape[1] - 1]])
    with tiny(family, method) as prompted:
        everything = prompted(input_ids=batch, attention_mask=mask, use_cache=False, output_hidden_states=True)
        some = prompted(input_ids=batch, attention_mask=mask, use_cache=False, positions=chosen)
    rows = torch.arange(3)[:, None]
    close(some.logits, everything.logits[rows, chosen], 1e-5)


@every_decoder
def test_the_last_feed_forward_sees_the_selected_columns_only(family: str) -> None:
    batch, mask = padded(ROWS, "right")
    chosen = torch.tensor([[2], [1], [3]])
    widths: list[int] = []
    with tiny(family, "prompt_tuning") as prompted:
        inner = next(m for m in prompted.anatomy.last_feed_forward.modules() if not list(m.children()))
        handle = inner.register_forward_pre_hook(lambda _, args: widths.append(args[0].shape[-2]))
        shown = {"positions": chosen, "output_hidden_states": True}  # each row then has its own virtual tokens
        for options, expected in (({}, 4 + 3 * 7), ({"positions": chosen}, 3), (shown, 4 + 7)):
            widths.clear()
            prompted(input_ids=batch, attention_mask=mask, use_cache=False, **options)
            assert widths[-1] == expected
        handle.remove()
