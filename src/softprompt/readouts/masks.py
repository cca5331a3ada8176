"""Label words of several tokens at the masks of an encoder.

Schick and Schütze, "It's Not Just Size That Matters: Small Language Models Are Also Few-Shot Learners", NAACL 2021,
section 3.1, <https://arxiv.org/abs/2009.07118>: an answer of k tokens is read where k masks stand, and its probability
is the product of the tokens' at their masks, all predicted in one pass:

    log p(y | x) = sum_{i=1..k} log p_i(t_i | x with k masks)

The paper trains with as many masks as the longest answer has and ignores those beyond a shorter one; so `w60` at the
first of two masks would always beat `w60 w61`. Here, in training and to answer, every answer has its own number of
masks, as when the paper predicts: what stands behind them is then the answer's end, and no end token is needed. The
paper fills the masks in one after the other to predict, which takes k passes; here both take one (our choice), so that
the loss is that of what is answered. Answers of one length share a pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from softprompt.readouts.answers import Ids
from softprompt.readouts.base import Batch, Item, inputs
from softprompt.readouts.candidates import Candidates
from softprompt.sites.attached import Attached, Rows
from softprompt.tasks.text.encoding import Encoded, pad


class Masks(Candidates):
    """As many masks as an answer has tokens."""

    name = "mask"

    def collate(self, items: Sequence[Item], *, train: bool = False) -> Batch:
        """A sequence for each length that answers have; candidates know theirs."""
        chosen, batch = self._chosen(items, train)
        sizes = [len(items[owner].targets[candidate]) for owner, candidate in chosen]
        pairs = [(owner, size) for (owner, _), size in zip(chosen, sizes, strict=True)]
        places = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
        texts = [items[owner].texts[0] for owner, _ in places]
        sequences = [_widened(text, size) for text, (_, size) in zip(texts, places, strict=True)]
        batch["input_ids"], batch["attention_mask"] = pad(sequences, self.filler)
        first = torch.tensor([text.mask for text in texts])[:, None]
        ahead = torch.arange(max(sizes))[None, :]
        batch["columns"] = (first + ahead).clamp(max=batch["input_ids"].shape[1] - 1)
        batch["owners"] = torch.tensor([owner for owner, _ in places])
        batch["sequences"] = torch.tensor([places[pair] for pair in pairs])
        return batch

    def token_logits(self, prompted: Attached, batch: Batch, prompts: Rows) -> tuple[Tensor, Tensor]:
        """The logit of each target token at its mask, and log Z there: fp32, shapes `(candidates, tokens)`."""
        given = inputs(prompted, batch, prompts)
        logits: Tensor = prompted(**given, positions=batch["columns"], use_cache=False).logits.float()
        goal, of = batch["targets"], batch["sequences"]
        ahead = torch.arange(goal.shape[1], device=goal.device)
        return logits[of[:, None], ahead, goal], logits.logsumexp(-1)[of]

    def _room(self, targets: Sequence[Ids]) -> int:
        """The masks of the longest answer but for the one that the text has."""
        return max(len(ids) for ids in targets) - 1


def _widened(text: Encoded, size: int) -> tuple[int, ...]:
    """The text with so many masks in the place of its one."""
    assert text.mask is not None
    mask = text.ids[text.mask]
    return (*text.ids[: text.mask], *[mask] * size, *text.ids[text.mask + 1 :])
