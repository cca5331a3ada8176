"""Readouts of several tasks whose calls of the model run as one.

Between two calls of the model a readout only computes: what it asks for depends on its rows and on what the model gave
before. So each is asked up to the point where it wants the model; the calls that all of them want run as one batch; and
each is asked again, with what came of its rows in the place of the call, until it has answered. No readout knows of it,
those of packages neither. (Our choice; to go on by asking again is how algebraic effects are had in a language without
continuations.)

Calls that are alike in kind share a pass: of logits at columns, or of states. A call of another form runs by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Literal, TypeAlias, TypeVar, cast

import torch
from torch import Tensor, nn

from softprompt.attached.model import PromptedModel
from softprompt.errors import SoftPromptError
from softprompt.sites.asking import Around
from softprompt.sites.attached import Attached, Rows
from softprompt.sites.forward_call import Call

T = TypeVar("T")
Kind: TypeAlias = Literal["logits", "states"]
# What stands in the place of a row's prompt: given its index and the columns of its text and prompt, another index.
Instead: TypeAlias = Callable[[int, int], int]

_KNOWN = {
    *("input_ids", "attention_mask", "conditioning_mask", "positions", "vocabulary", "decoder_input_ids"),
    *("prompts", "use_cache"),
}


@dataclass(frozen=True)
class Wanted:
    """One call of the model that a readout wants.

    Attributes:
        kind: what of the model it wants.
        rows: the prompt of each row.
        ids: `(B, N)`.
        mask: `(B, N)`, 1 at what is seen.
        conditioning: bool, `(B, N)`: columns that may condition a prompt.
        columns: at which logits or states are wanted, `(B, S)`.
        vocabulary: ids whose logits are wanted, `(W,)`, or None for all.
        decoder_ids: what an encoder-decoder's decoder reads, `(B, D)`, or None.
        placed: whether virtual tokens stand among the ids already.
    """

    kind: Kind
    rows: tuple[int, ...]
    ids: Tensor
    mask: Tensor
    conditioning: Tensor
    columns: Tensor
    vocabulary: Tensor | None
    decoder_ids: Tensor | None
    placed: bool

    @property
    def alike(self) -> tuple[object, ...]:
        """What calls have in common that share a pass."""
        return self.kind, self.placed, self.decoder_ids is None


class _Waits(BaseException):
    """A readout wants the model: it is no fault, so nothing that catches faults may see it."""

    def __init__(self, wanted: Wanted) -> None:
        super().__init__()
        self.wanted = wanted


class _Stand(Attached):
    """The attached model as one readout sees it: its calls were answered before, or wait."""

    def __init__(self, prompted: PromptedModel, given: Sequence[Tensor]) -> None:
        self.backbone, self.anatomy = prompted.backbone, prompted.anatomy
        self.slots, self.moving = prompted.slots, prompted.moving
        self._prompted, self._given, self._asked = prompted, given, 0

    def rows(self, prompts: Rows, batch: int) -> tuple[int, ...]:
        return self._prompted.rows(prompts, batch)

    def __call__(self, *args: object, **kwargs: object) -> object:
        if args or not kwargs.keys() <= _KNOWN or kwargs.get("positions") is None or kwargs.get("use_cache"):
            return self._prompted(*args, **kwargs)
        return SimpleNamespace(logits=self._of("logits", kwargs))

    def states(
        self,
        *,
        prompts: Rows = None,
        conditioning_mask: Tensor | None = None,
        positions: Tensor | None = None,
        **kwargs: object,
    ) -> Tensor:
        if not kwargs.keys() <= _KNOWN:
            own = self._prompted.states
            return own(prompts=prompts, conditioning_mask=conditioning_mask, positions=positions, **kwargs)
        asked = {"prompts": prompts, "conditioning_mask": conditioning_mask, "positions": positions}
        return self._of("states", {**kwargs, **asked})

    def generate(
        self, inputs: Tensor | None = None, *, prompts: Rows = None, only_label_words: bool = False, **kwargs: object
    ) -> object:
        return self._prompted.generate(inputs, prompts=prompts, only_label_words=only_label_words, **kwargs)

    def calling(
        self,
        rows: tuple[int, ...],
        conditioning: Tensor | None = None,
        select: Tensor | None = None,
        *,
        inserting: bool = True,
        around: Mapping[nn.Module, Around] | None = None,
    ) -> AbstractContextManager[Call]:
        return self._prompted.calling(rows, conditioning, select, inserting=inserting, around=around)

    def _of(self, kind: Kind, given: Mapping[str, object]) -> Tensor:
        self._asked += 1
        if self._asked <= len(self._given):
            return self._given[self._asked - 1]
        raise _Waits(_wanted(self._prompted, kind, given))


def run_together(
    prompted: PromptedModel, works: Sequence[Callable[[Attached], T]], filler: int, instead: Instead | None = None
) -> list[T | SoftPromptError]:
    """What each of several functions of an attached model gives, their calls of it in common.

    Args:
        prompted: the attached model.
        works: each may be asked several times, and must do the same each time.
        filler: the padding id.
        instead: what may stand in the place of a row's prompt, see `Instead`.

    Returns:
        Of each what it gave, or the fault that it or its call had.
    """
    found: dict[int, T | SoftPromptError] = {}
    given: list[list[Tensor]] = [[] for _ in works]
    while len(found) < len(works):
        waiting: dict[tuple[object, ...], list[tuple[int, Wanted]]] = {}
        for place, work in enumerate(works):
            if place in found:
                continue
            try:
                found[place] = work(_Stand(prompted, given[place]))
            except SoftPromptError as error:
                found[place] = error
            except _Waits as wait:
                waiting.setdefault(wait.wanted.alike, []).append((place, wait.wanted))
        for calls in waiting.values():
            outcomes = _run(prompted, [wanted for _, wanted in calls], filler, instead)
            for (place, _), outcome in zip(calls, outcomes, strict=True):
                if isinstance(outcome, SoftPromptError):
                    found[place] = outcome
                else:
                    given[place].append(outcome)
    return [found[place] for place in range(len(works))]


def _wanted(prompted: PromptedModel, kind: Kind, given: Mapping[str, object]) -> Wanted:
    ids, columns, decoder = given["input_ids"], given.get("positions"), given.get("decoder_input_ids")
    assert isinstance(ids, Tensor)
    mask, conditioning = given.get("attention_mask"), given.get("conditioning_mask")
    mask = torch.ones_like(ids) if not isinstance(mask, Tensor) else mask
    conditioning = mask.bool() if not isinstance(conditioning, Tensor) else conditioning.bool()
    if not isinstance(columns, Tensor):
        columns = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
    placed = bool((ids >= prompted.anatomy.vocab_size).any())
    rows = prompted.rows(cast("Rows", given["prompts"]), ids.shape[0])
    words = given.get("vocabulary")
    some = (words if isinstance(words, Tensor) else None, decoder if isinstance(decoder, Tensor) else None)
    return Wanted(kind, rows, ids, mask, conditioning, columns, *some, placed)


def _run(
    prompted: PromptedModel, calls: Sequence[Wanted], filler: int, instead: Instead | None
) -> list[Tensor | SoftPromptError]:
    """What comes of some calls that are alike, in one pass; where it fails, of each in a pass of its own."""
    try:
        return [*_pass(prompted, calls, filler, instead)]
    except SoftPromptError as error:
        if len(calls) == 1:
            return [error]
        return [one for call in calls for one in _run(prompted, [call], filler, instead)]


def _pass(prompted: PromptedModel, calls: Sequence[Wanted], filler: int, instead: Instead | None) -> list[Tensor]:
    ids = _stacked([one.ids for one in calls], filler)
    mask = _stacked([one.mask for one in calls], 0)
    rows = [row for one in calls for row in one.rows]
    if instead is not None and not calls[0].placed:
        lengths = mask.sum(-1).tolist()
        rows = [instead(row, length) for row, length in zip(rows, lengths, strict=True)]
    conditioning = _stacked([one.conditioning for one in calls], 0)
    width = max(one.columns.shape[1] for one in calls)
    columns = torch.cat([_widened(one.columns, width) for one in calls])
    given = {"input_ids": ids, "attention_mask": mask}
    decoder_ids = [one.decoder_ids for one in calls if one.decoder_ids is not None]
    if decoder_ids:
        given["decoder_input_ids"] = _stacked(decoder_ids, filler)
    own = {"conditioning_mask": conditioning, "positions": columns}
    if calls[0].kind == "states":
        return _apart(prompted.states(prompts=rows, **own, **given), calls)
    some = [one.vocabulary for one in calls if one.vocabulary is not None]
    words = torch.cat(some).unique() if len(some) == len(calls) else None
    logits = prompted(prompts=rows, use_cache=False, vocabulary=words, **own, **given).logits
    return [
        part if one.vocabulary is None else part[..., _places(one.vocabulary, words)]
        for part, one in zip(_apart(logits, calls), calls, strict=True)
    ]


def _apart(output: Tensor, calls: Sequence[Wanted]) -> list[Tensor]:
    """Each call's own part of what came of all."""
    parts = output.split([one.ids.shape[0] for one in calls])
    return [part[:, : one.columns.shape[1]] for part, one in zip(parts, calls, strict=True)]


def _places(ids: Tensor, among: Tensor | None) -> Tensor:
    """Where ids stand among sorted ones, or in the whole vocabulary."""
    return ids if among is None else torch.searchsorted(among, ids)


def _stacked(parts: Sequence[Tensor], filler: int) -> Tensor:
    """Rows of several matrices `(B, N)` as one, padded on the right."""
    width = max(one.shape[1] for one in parts)
    return torch.cat([nn.functional.pad(one, (0, width - one.shape[1]), value=filler) for one in parts])


def _widened(columns: Tensor, width: int) -> Tensor:
    """Columns `(B, S)` as `(B, width)`: the last one again."""
    return torch.cat([columns, columns[:, -1:].expand(-1, width - columns.shape[1])], 1)
