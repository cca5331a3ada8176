"""Continuous batching of texts that are written: one may join or leave between any two steps of the others.

Yu, Jeong, Kim, Kim, Chun, "Orca: A Distributed Serving System for Transformer-Based Generative Models", OSDI 2022,
<https://www.usenix.org/conference/osdi22/presentation/yu>: iteration-level scheduling. A step gives every row one more
token; rows that have ended leave; rows that are new have their whole text read first (prefill) and then stand beside
the others.

Rows end at the same column of the cache: a shorter one has masked columns on its left, so that a step adds one column
for all, and columns that no row needs any more are cut off. A prompt of keys and values, among them whatever was
lowered to such, joins in attention at each step and stands in no row's cache; virtual tokens that are made of the text
enter at the prefill, and are columns like any others from then on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from softprompt.attached.lowered import can_lower, reach_of
from softprompt.attached.model import PromptedModel
from softprompt.backbones.cached import cache_name
from softprompt.backbones.heads import has_lm_head
from softprompt.inference.batches import to_device
from softprompt.readouts.base import inputs
from softprompt.serving.writing import Writing
from softprompt.tasks.text.encoding import pad


def can_decode(prompted: PromptedModel) -> bool:
    """Whether a family's rows may stand in one cache from which any of them leaves at any time.

    They must meet nowhere but in attention, which takes prefixes by keyword.
    """
    anatomy = prompted.anatomy
    return can_lower(anatomy) and anatomy.takes_position_ids and not prompted.moving and has_lm_head(prompted.backbone)


class Decoder:
    """The texts that one attached model writes at a time.

    Args:
        prompted: the attached model, of a family that `can_decode`.
        filler: the padding id.

    Attributes:
        rows: the texts, in the order of the cache's rows.
    """

    def __init__(self, prompted: PromptedModel, filler: int) -> None:
        """Of nothing yet."""
        self.rows: list[Writing] = []
        self._prompted, self._filler = prompted, filler
        self._cache = DynamicCache()
        self._mask = torch.zeros(0, 0, dtype=torch.long)
        self._slots: list[str] = []  # the attached name that stands for each row's prompt
        self._reach = reach_of(prompted.anatomy)

    @torch.inference_mode()
    def join(self, new: Sequence[Writing]) -> None:
        """Read some texts and write the first token of each; they go on with the others.

        Args:
            new: texts in which virtual tokens stand already, or texts in which none do.

        Raises:
            SoftPromptError: the model cannot read one of them.

        Whatever is raised, none has joined, and the others go on.
        """
        slots = [self._slot(one) for one in new]
        ids, mask = pad([one.ids for one in new], self._filler, left=True)
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids) if mask is None else mask}
        given = inputs(self._prompted, to_device(batch, self._prompted), slots)
        ids, mask = given["input_ids"], given["attention_mask"]
        assert mask is not None
        order = torch.arange(ids.shape[1], device=ids.device)
        last = (mask * order).argmax(-1, keepdim=True)
        cache = DynamicCache()
        with self._prompted.calling(tuple(given["prompts"]), mask.bool(), last) as call:
            logits = self._logits(ids, mask, cache)
            whole = mask if call.layout is None or call.layout.mask is None else call.layout.mask
        self._write(new, logits)
        self._stand_beside(cache, whole)
        self.rows += new
        self._slots += slots

    @torch.inference_mode()
    def step(self) -> None:
        """One more token for every text."""
        names = self._prompted.names
        places = [names.index(slot) for slot in self._slots]
        last = torch.tensor([[one.made[-1]] for one in self.rows], device=self._mask.device)
        mask = torch.cat([self._mask, torch.ones_like(last)], dim=1)
        with self._prompted.calling(tuple(places), inserting=False):
            logits = self._logits(last, mask, self._cache)
        self._mask = mask
        self._write(self.rows, logits)

    def leave(self, gone: Sequence[Writing]) -> None:
        """Let some texts go, ended or not."""
        kept = [place for place, one in enumerate(self.rows) if one not in gone]
        if len(kept) == len(self.rows):
            return
        self.rows, self._slots = [self.rows[place] for place in kept], [self._slots[place] for place in kept]
        if not kept:
            self._cache, self._mask = DynamicCache(), self._mask[:0, :0]
            return
        index = torch.tensor(kept, device=self._mask.device)
        mask = self._mask[index]
        start = int(mask.any(0).long().argmax())  # columns before it are padding in every row
        self._mask = mask[:, start:]
        self._cache = _cache_of(
            (keys[index, :, start:], values[index, :, start:]) for keys, values in _held(self._cache)
        )

    def _slot(self, one: Writing) -> str:
        """The attached name of a text's prompt: its keys and values where every column will see all of them."""
        served = one.served
        if served.lowered is None or one.placed:
            return served.slot
        count = served.prompt.producer.footprint.count
        fits = self._reach is None or count + len(one.ids) + one.wishes.most <= self._reach
        return served.lowered if fits else served.slot

    def _logits(self, ids: Tensor, mask: Tensor, cache: DynamicCache) -> Tensor:
        """Logits of each row's last column, `(B, V)`; the cache takes the columns of all."""
        name = str(cache_name(self._prompted.anatomy.body))
        output = self._prompted.backbone(input_ids=ids, attention_mask=mask, use_cache=True, **{name: cache})
        logits: Tensor = output.logits
        return logits.reshape(ids.shape[0], -1, logits.shape[-1])[:, -1]

    def _stand_beside(self, new: DynamicCache, mask: Tensor) -> None:
        """Put the columns of new rows below those of the others; whichever are fewer are padded on the left."""
        if not self.rows:
            self._cache, self._mask = new, mask
            return
        width = max(mask.shape[1], self._mask.shape[1])
        masks = torch.cat([_wider(self._mask, width, 1), _wider(mask, width, 1)])
        both = zip(_held(self._cache), _held(new), strict=True)
        cache = _cache_of(
            (_below(keys, new_keys, width), _below(values, new_values, width))
            for (keys, values), (new_keys, new_values) in both
        )
        self._cache, self._mask = cache, masks

    def _write(self, rows: Sequence[Writing], logits: Tensor) -> None:
        sound = logits.amax(-1).isfinite().tolist()  # the largest of some that are no numbers is none
        for one, own, fine in zip(rows, logits, sound, strict=True):
            if fine:
                one.take(one.choose(own))
            else:
                one.break_off()


def _below(upper: Tensor, lower: Tensor, width: int) -> Tensor:
    """Columns `(B, K, T, D)` of some rows and then those of others, both padded on the left to a width."""
    return torch.cat([_wider(upper, width, 2), _wider(lower, width, 2)])


def _held(cache: DynamicCache) -> list[tuple[Tensor, Tensor]]:
    """The keys and values of each layer, `(B, K, T, D)`."""
    return [(keys, values) for keys, values, *_ in cache if keys is not None and values is not None]


def _cache_of(pairs: Iterable[tuple[Tensor, Tensor]]) -> DynamicCache:
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(pairs):
        cache.update(keys, values, layer)
    return cache


def _wider(values: Tensor, width: int, axis: int) -> Tensor:
    """Values with zeros in front of an axis until it is as long."""
    gap = [0, 0] * (values.ndim - 1 - axis) + [width - values.shape[axis], 0]
    return nn.functional.pad(values, gap)
