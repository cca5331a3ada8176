"""Facts: the word of a large vocabulary that stands at one column, and the rank of the right one.

The loss is the cross-entropy of the object's token over the whole vocabulary of the model, as P-Tuning, AutoPrompt and
Soft Words train (`loss="labels"`: over the candidates alone). Candidates are the words of the task's `vocabulary` that
are one token each, or all tokens that are not special; answers and ranks are among them, P-Tuning's "shared"
vocabulary. A fact whose object is no candidate can be neither learned nor answered: it is left out and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.guards.tokenizing import token_ids, tokenise
from softprompt.readouts.base import Batch, Item, Outcome
from softprompt.readouts.label_words import LabelWords
from softprompt.tasks.rows import Row
from softprompt.tasks.text.encoding import RowEncoder, continuation

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_Key: TypeAlias = tuple[tuple[str, ...], int, bool]  # the words, how many tokens there are, and the space
_FOUND: WeakKeyDictionary[PreTrainedTokenizerBase, dict[_Key, list[int]]] = WeakKeyDictionary()
_NONE = -100  # the target of a fact that cannot be learned


class VocabularyWords(LabelWords):
    """One token of many.

    Args:
        name: `mask` or `text`.
        row_encoder: encodes the text.
        candidates: ids of the tokens that may be the answer, each once.
        filler: the padding id.
        vocabulary: whether the loss is over all tokens.
        space: whether a space stands before the answer.
    """

    def __init__(
        self,
        name: str,
        row_encoder: RowEncoder,
        candidates: Sequence[int],
        filler: int,
        *,
        vocabulary: bool,
        space: bool,
    ) -> None:
        super().__init__(name, row_encoder, candidates, filler, vocabulary=vocabulary, bounds=None)
        self.space = space
        self.places = {token: place for place, token in enumerate(candidates)}
        self.known: dict[tuple[str, ...], tuple[int, ...]] = {}  # the candidates among right answers

    @property
    def answer_ids(self) -> None:
        """None: these are too many to generate from."""
        return None

    def encode(self, row: Row) -> Item:
        """One sequence; the label is the place of the first right answer that is a candidate."""
        right = self._right(row)
        lost = row.label is not None and not right
        return Item((self.row_encoder.encode(row),), (), right[0] if right else None, row, outside=lost)

    def collate(self, items: Sequence[Item], *, train: bool = False) -> Batch:
        """See `SingleColumn.collate`; with the places of all right answers of each row."""
        return {**super().collate(items, train=train), "right": [self._right(item.row) for item in items]}

    def loss_of(self, scores: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy of the rows whose answer is a candidate."""
        targets = torch.tensor([_NONE if one is None else one for one in batch["labels"]], device=scores.device)
        total = torch.nn.functional.nll_loss(scores, targets, ignore_index=_NONE, reduction="sum")
        return total / (targets != _NONE).sum().clamp(min=1)

    def terms(self, item: Item) -> int:
        """A row whose answer is no candidate does not count."""
        return 0 if item.label is None else 1

    def outcomes_of(self, scores: Tensor, batch: Batch) -> list[Outcome]:
        """Of each row the likeliest candidate, its probability among them, and the rank of the best right one."""
        logs = scores.detach().float().log_softmax(-1)
        chances, best = logs.exp().max(-1)
        tokenizer = self.row_encoder.tokenizer
        found = []
        for place, (log, right) in enumerate(zip(logs, batch["right"], strict=True)):
            word = str(tokenizer.decode([self.words[int(best[place])]], clean_up_tokenization_spaces=False)).strip()
            rank = min((_rank(log, one) for one in right), default=0)
            loss = -float(log[right[0]]) if right else None
            found.append(Outcome(word, (float(chances[place]),), loss, rank=rank))
        return found

    def _right(self, row: Row) -> tuple[int, ...]:
        """The candidates that are right answers of a row."""
        if row.label is None:
            return ()
        if row.answers not in self.known:  # each row is asked for in every step
            found = (_token(answer, self.row_encoder.tokenizer, space=self.space) for answer in row.answers)
            self.known[row.answers] = tuple(self.places[token] for token in found if token in self.places)
        return self.known[row.answers]


def candidates_of(words: tuple[str, ...], tokenizer: PreTrainedTokenizerBase, size: int, *, space: bool) -> list[int]:
    """The tokens that may be an answer: of words those that are one token, without words all that are not special.

    Args:
        words: of the task's vocabulary.
        tokenizer: the backbone's.
        size: of the backbone's vocabulary.
        space: whether a space stands before the answer.

    Raises:
        SoftPromptError: none of the words is one token.
    """
    if not words:
        special = set(tokenizer.all_special_ids)
        return [token for token in range(min(size, len(tokenizer))) if token not in special]
    known, key = _FOUND.setdefault(tokenizer, {}), (words, len(tokenizer), space)
    if key not in known:  # each prompt of a mixture asks for them
        known[key] = _single(words, tokenizer, space=space)
    found = known[key]
    if len(found) < 2:
        raise SoftPromptError(f"vocabulary: {len(found)} of its {len(words)} words are one token: give other words")
    return found


def _single(words: tuple[str, ...], tokenizer: PreTrainedTokenizerBase, *, space: bool) -> list[int]:
    """The tokens of the words that are one; all are tokenised at once, in the way of `continuation`."""
    before, unknown = "a" if space else "\n", tokenizer.unk_token_id
    carrier = token_ids(tokenizer, before)
    texts = [f"{before}{' ' * space}{word.strip()}" for word in words]
    found: dict[int, None] = {}
    for word, ids in zip(words, tokenise(tokenizer, texts, add_special_tokens=False)["input_ids"], strict=True):
        apart = len(ids) > len(carrier) and ids[: len(carrier)] == carrier
        token = _token(word, tokenizer, space=space) if not apart else ids[-1] if len(ids) == len(carrier) + 1 else None
        found |= {} if token in (None, unknown) else {token: None}
    return list(found)


def _token(word: str, tokenizer: PreTrainedTokenizerBase, *, space: bool) -> int | None:
    """The one token that a word is, or None."""
    try:
        ids = continuation(tokenizer, word.strip(), space=space)
    except SoftPromptError:  # unknown to the tokenizer
        return None
    return ids[0] if len(ids) == 1 else None


def _rank(logs: Tensor, place: int) -> int:
    """The rank of a candidate, from 1; of equal ones the first stands first, as it is the one that is answered."""
    own = logs[place]
    return 1 + int((logs > own).sum()) + int((logs[:place] == own).sum())
