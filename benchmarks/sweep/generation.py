"""`generate` with a prompt: the tokens that come with a cache against those that are computed one by one without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import softprompt as sp

from . import references
from .bare import ROWS, Bare, padded
from .cases import Case
from .verdict import Unknown, Wrong

NEW = 4  # tokens


class Generation:
    """A model with one prompt.

    Attributes:
        bare: the model.
        case: the method.
    """

    def __init__(self, bare: Bare, case: Case, producer: Any, tokenizer: Any) -> None:
        """See the class."""
        self.bare, self.case, self._producer, self._tokenizer = bare, case, producer, tokenizer

    def steps(self) -> str:
        """The tokens are those that the attached model gives without a cache, and at `stream` the bare one, too."""
        self._see_bare()
        with sp.attach(self.bare.model, self._tokenizer, self._producer) as prompted:
            got = self._new(prompted, self.bare.ids)
            self._compare(got, lambda added: self._whole(prompted, added))
        if self.case.site != "stream":
            return ""
        twin, (table,) = self.bare.twin(), self._producer.parameters()
        try:
            references.by_embeddings(self.bare, twin, table.detach())
        except Unknown:
            return ""
        self._compare(got, lambda added: references.by_embeddings(self.bare, twin, table.detach(), added))
        return "by inputs_embeds, too"

    def rows(self) -> None:
        """Rows of other lengths go on together as each does alone."""
        self._see_bare()
        with sp.attach(self.bare.model, self._tokenizer, self._producer) as prompted:
            together = self._new(prompted, *padded("left"))
            for place, row in enumerate(ROWS):
                alone = self._new(prompted, torch.tensor([row]))
                if together[place].tolist() != alone[0].tolist():
                    raise Wrong(f"row {place}: {together[place].tolist()} together, {alone[0].tolist()} alone")

    def _see_bare(self) -> None:
        try:
            self._compare(self._new(self.bare.model, self.bare.ids), lambda added: self._whole(self.bare.model, added))
        except Exception as error:
            raise Unknown(f"generate of the bare model: {str(error).splitlines()[:1]}") from error

    def _whole(self, call: Any, added: Tensor) -> Tensor:
        """Logits of a text and what was added to it, computed at once."""
        if self.bare.two_sided:
            return self.bare.run(call, **self.bare.decoder_inputs(ids=added))
        whole, more = torch.cat([self.bare.ids, added], dim=1), {}
        if call is not self.bare.model and self.case.site == "hidden":  # what was added conditions no prompt
            more["conditioning_mask"] = (torch.arange(whole.shape[1]) < self.bare.ids.shape[1])[None]
        return self.bare.run(call, whole, **more)

    def _compare(self, got: Tensor, logits: Callable[[Tensor], Tensor]) -> None:
        added = torch.tensor([[self.bare.start]]) if self.bare.two_sided else torch.zeros(1, 0, dtype=torch.long)
        own = added.shape[1]
        for _ in range(NEW):
            added = torch.cat([added, logits(added)[:, -1:].argmax(-1)], dim=1)
        if got.tolist() != added[:, own:].tolist():
            raise Wrong(f"generates {got[0].tolist()} instead of {added[0, own:].tolist()}")

    @torch.no_grad()
    def _new(self, call: Any, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        mask = torch.ones_like(ids) if mask is None else mask
        whole: Tensor = call.generate(input_ids=ids, attention_mask=mask, max_new_tokens=NEW, do_sample=False)
        return whole[:, -NEW:]
