"""Answers as token ids, and the end that belongs to them.

A language model's log-probability of `w60` is that of every text which goes on after it, `w60 w61` among them, so a
longer answer could never beat one that begins it. With the end token behind both, each is the probability of the whole
answer, and the two exclude one another. Answers of which none begins another exclude one another already: there nothing
is added, and the score is lm-evaluation-harness's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

from softprompt.errors import SoftPromptError, quoted
from softprompt.tasks.task import Task
from softprompt.tasks.text.encoding import affixes, continuation
from softprompt.tasks.text.template import Template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

AnswerEnd: TypeAlias = Literal["auto", "yes", "no"]
Ids: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class AnswerIds:
    """How the text of an answer becomes ids.

    Attributes:
        tokenizer: the backbone's.
        space: whether a space stands before the answer.
        seq2seq: whether a decoder answers, whose tokenizer closes every answer as it closes every text.
        lead: the ids that stand before every answer.
        most: how many tokens an answer may have, or None.
    """

    tokenizer: PreTrainedTokenizerBase
    space: bool
    seq2seq: bool
    lead: Ids = ()
    most: int | None = None

    def of(self, word: str) -> Ids:
        """The ids of an answer.

        Raises:
            SoftPromptError: it is empty or unknown to the tokenizer, or has more tokens than there is room for.
        """
        if not word.strip():
            raise SoftPromptError("an answer is empty, so nothing of it can be scored: give it a word")
        closing = affixes(self.tokenizer)[1] if self.seq2seq else ()
        ids = (*self.lead, *continuation(self.tokenizer, word, space=self.space), *closing)
        if self.most is not None and len(ids) > self.most:
            raise SoftPromptError(
                f"the answer {quoted(word, 60)} is {len(ids)} tokens, and the backbone's decoder takes {self.most}: "
                "shorten it"
            )
        return ids

    def of_labels(self, task: Task) -> list[Ids]:
        """The ids of each label word.

        Raises:
            SoftPromptError: the task has no label words, one is empty, or two are the same tokens or differ in spaces
                alone.
        """
        words = label_words(task, self.seq2seq)
        found = [self.of(word) for word in words]
        known: dict[Ids | str, str] = {}
        for word, ids in zip(words, found, strict=True):
            other = known.get(ids, known.get(word.strip()))
            if other is not None:
                raise SoftPromptError(
                    f"two label words of task {task.name!r} are the same tokens or differ in spaces alone "
                    f"({quoted(other, 60)} and {quoted(word, 60)}): choose other words"
                )
            known |= {ids: word, word.strip(): word}
        return found


@dataclass(frozen=True)
class Ending:
    """Where an end token belongs behind answers that are compared.

    Attributes:
        when: `auto` where one of the answers begins another, or always, or never.
        token: the end token, or None where the tokenizer has none.
    """

    when: AnswerEnd = "no"
    token: int | None = None

    def behind(self, answers: Sequence[Ids]) -> tuple[tuple[Ids, ...], bool]:
        """The answers as they are scored, and whether the end stands behind them.

        Raises:
            SoftPromptError: an end is wanted, and the tokenizer has none.
        """
        if self.when == "no" or (self.when == "auto" and beginning(answers) is None):
            return tuple(answers), False
        if all(ids[-1:] == (self.token,) for ids in answers):  # as an encoder-decoder's tokenizer closes them
            return tuple(answers), True
        if self.token is None:
            raise SoftPromptError(
                "an end belongs behind these answers (answer_end), and the tokenizer has no end token: set its "
                "eos_token, or choose answers of which none begins another"
            )
        return tuple((*ids, self.token) for ids in answers), True


NO_END = Ending()


def label_words(task: Task, seq2seq: bool) -> tuple[str, ...]:
    """The label words of a task.

    Raises:
        SoftPromptError: it has none.
    """
    words = task.label_words(seq2seq)
    if not words:
        raise SoftPromptError(f"task {task.name!r} has no label words: give it labels, or use readout='head'")
    return words


def brings_choices(task: Task, template: Template, seq2seq: bool) -> bool:
    """Whether the answers that are compared are a row's own, and not the task's label words."""
    return task.kind == "choice" and (template.has_choice or not task.label_words(seq2seq))


def beginning(answers: Sequence[Ids]) -> tuple[int, int] | None:
    """The places of an answer and of one that begins with it and goes on; None where there are no two such."""
    places = {ids: place for place, ids in enumerate(answers)}
    # What begins an answer begins all that sort between the two.
    for short, long in pairwise(sorted(places)):
        if long[: len(short)] == short:
            return places[short], places[long]
    return None


def end_token(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The id that closes an answer: what closes a text, else the tokenizer's end token; None where it has neither."""
    closing = affixes(tokenizer)[1]
    return closing[-1] if closing else tokenizer.eos_token_id
