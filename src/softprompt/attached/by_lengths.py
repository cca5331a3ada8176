"""`generate` where padding would move the text: rows of one length at a time, without their padding."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from softprompt.backbones.compat import CACHES
from softprompt.errors import SoftPromptError

_REFUSED = ("return_dict_in_generate", "streamer", *CACHES)


def by_lengths(
    generate: Callable[..., Any], ids: Tensor, rows: Sequence[int], kwargs: Mapping[str, Any], end: int | None
) -> Tensor:
    """Sequences `(batch, tokens + new)` of rows with padding, each as it is generated alone.

    Args:
        generate: (ids, the prompt of each row, keywords) to sequences.
        ids: with padding, `(batch, tokens)`.
        rows: the prompt of each row.
        kwargs: of `generate`, with an `attention_mask`, `(batch, tokens)`.
        end: the id that stands behind what ended earlier than others.

    Raises:
        SoftPromptError: an option whose result could not be put together.
    """
    for name in _REFUSED:
        if kwargs.get(name) not in (None, False):
            raise SoftPromptError(
                f"generate cannot take {name!r} with rows of several lengths, which padding would move in this "
                "backbone: give rows of one length"
            )
    mask = kwargs["attention_mask"].bool()
    by_length: dict[int, list[int]] = defaultdict(list)
    for row, length in enumerate(mask.sum(-1).tolist()):
        by_length[length].append(row)
    made: dict[int, Tensor] = {}
    for length, members in by_length.items():
        own = torch.stack([ids[row][mask[row]] for row in members])
        options = {**_of_rows(kwargs, members, ids.shape), "attention_mask": torch.ones_like(own)}
        new: Tensor = generate(own, [rows[row] for row in members], **options)[:, length:]
        made |= dict(zip(members, new.split(len(new) // len(members)), strict=True))
    width, pad = max(one.shape[1] for one in made.values()), kwargs.get("pad_token_id", end) or 0
    whole = [torch.nn.functional.pad(made[row], (0, width - made[row].shape[1]), value=pad) for row in range(len(ids))]
    return torch.cat([ids.repeat_interleave(len(whole[0]), 0), torch.cat(whole)], dim=-1)


def _of_rows(kwargs: Mapping[str, Any], members: list[int], shape: torch.Size) -> dict[str, Any]:
    """The options of some rows: tensors that have a row for each are cut, and lengths count no padding."""
    made = {name: value[members] if _has_rows(value, shape[0]) else value for name, value in kwargs.items()}
    for name in ("max_length", "min_length"):
        if kwargs.get(name) is not None:
            made.setdefault(name.replace("length", "new_tokens"), max(made.pop(name) - shape[1], 0))
    if kwargs.get("logits_processor"):  # they may remember where a call began
        made["logits_processor"] = [copy.copy(one) for one in kwargs["logits_processor"]]
    allowed = kwargs.get("prefix_allowed_tokens_fn")
    if allowed is not None:
        made["prefix_allowed_tokens_fn"] = lambda row, ids: allowed(members[row], ids)
    return made


def _has_rows(value: object, batch: int) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0 and value.shape[0] == batch
