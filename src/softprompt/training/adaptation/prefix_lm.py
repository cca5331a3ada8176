r"""The prefix language-modelling objective: go on with a text from a random point.

Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", JMLR 2020, section
3.2.1, <https://arxiv.org/abs/1910.10683>. A chunk w_1..w_n is split at a point c, drawn evenly from 1..n-1:

    inputs = w_1 .. w_c </s>        targets = w_{c+1} .. w_n (</s> where the text ends there)

Every example is a function of the seed and its number alone, so a stream that is stopped goes on with the same ones.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from softprompt.guards.tokenizing import tokenise
from softprompt.tasks.text.encoding import affixes, pad

IGNORED = -100


@dataclass(frozen=True)
class Chunk:
    """A piece of a text: its ids, and whether the text ends with it."""

    ids: tuple[int, ...]
    last: bool


@dataclass(frozen=True)
class Example:
    """The ids of an example's inputs and targets."""

    inputs: tuple[int, ...]
    targets: tuple[int, ...]

    @property
    def length(self) -> int:
        """Columns of the longer of the two."""
        return max(len(self.inputs), len(self.targets))


def chunks(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, length: int) -> list[Chunk]:
    """Texts in pieces of at most `length` tokens; a piece of one token has no place to be split and is left out."""
    found = []
    for text in texts:
        ids = tokenise(tokenizer, text, add_special_tokens=False)["input_ids"]
        for start in range(0, len(ids), length):
            piece = tuple(ids[start : start + length])
            if len(piece) > 1:
                found.append(Chunk(piece, start + length >= len(ids)))
    return found


def split_chunk(chunk: Chunk, place: int, closing: tuple[int, ...]) -> Example:
    """The example of a chunk that is split before its token number `place`."""
    return Example((*chunk.ids[:place], *closing), (*chunk.ids[place:], *(closing if chunk.last else ())))


class Stream(Dataset[Example]):
    """`count` examples, pass after pass over the chunks, each pass in an order and with split points of its own.

    Args:
        pieces: the chunks.
        tokenizer: for its closing tokens.
        count: of examples.
        seed: of orders and split points.
    """

    def __init__(self, pieces: Sequence[Chunk], tokenizer: PreTrainedTokenizerBase, count: int, seed: int) -> None:
        """See the class."""
        self.pieces, self.count, self.seed = tuple(pieces), count, seed
        self.closing = affixes(tokenizer)[1]
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        passes, place = divmod(index, len(self.pieces))
        chunk = self.pieces[self._order(passes)[place]]
        return split_chunk(
            chunk, random.Random(f"{self.seed} split {index}").randint(1, len(chunk.ids) - 1), self.closing
        )

    def examples(self) -> list[Example]:
        """All of them."""
        return [self[index] for index in range(self.count)]

    def _shuffled(self, passes: int) -> list[int]:
        order = list(range(len(self.pieces)))
        random.Random(f"{self.seed} pass {passes}").shuffle(order)
        return order


def collate(pairs: Sequence[Example], filler: int) -> dict[str, Tensor]:
    """A batch as encoder-decoders take it: ids and mask `(rows, columns)`, labels with -100 at padding."""
    ids, mask = pad([pair.inputs for pair in pairs], filler)
    labels, _ = pad([pair.targets for pair in pairs], IGNORED)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids) if mask is None else mask, "labels": labels}


class PrefixLM(nn.Module):
    """The whole model, trained; its state holds every weight once, also where several modules share it."""

    def __init__(self, backbone: nn.Module) -> None:
        """See the class."""
        super().__init__()
        self.backbone = backbone
        for parameter in backbone.parameters():
            parameter.requires_grad_(True)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Mean cross-entropy of the targets' tokens."""
        loss: Tensor = self.backbone(**batch, use_cache=False).loss
        return loss

    def train(self, mode: bool = True) -> PrefixLM:
        """Dropout rests while training, too."""
        return super().train(False)

    def state_dict(  # type: ignore[override]  # torch's overloads are for prefixes, which nobody asks for
        self, *_: object, **__: object
    ) -> dict[str, nn.Parameter]:
        """Every parameter once, by name."""
        return dict(self.backbone.named_parameters())

    @torch.no_grad()
    def load_state_dict(self, state_dict: Mapping[str, Tensor], strict: bool = True, assign: bool = False) -> None:
        """Take what `state_dict` gave."""
        for name, parameter in self.backbone.named_parameters():
            parameter.copy_(state_dict[name])
