"""What became of a trained instruction's words, and back to text: the nearest word of each row, and what that costs.

The rows q_i of a trained instruction start as the embeddings of its words. Their drift is |q_i - e(w_i)|; projecting
each row on the token of the largest cosine gives a text that any tool can use, and the same metric on the same rows
before and after tells what the projection loses. A prefix beside the words stays as it was trained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from softprompt.attached.attach import build
from softprompt.errors import SoftPromptError
from softprompt.evaluation.score import Scores, figure, metrics_of
from softprompt.explain.nearest import Neighbour, RowReading, nearest_words
from softprompt.explain.vectors import as_text
from softprompt.guards.summaries import Summarised, Summary
from softprompt.guards.tokenizing import token_ids
from softprompt.methods.base import Method
from softprompt.methods.instruction import Instruction, InstructionWords
from softprompt.readouts import build_readout
from softprompt.storage.prompt import Prompt
from softprompt.tasks import Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Neighbours looked at for the nearest one that is no special token.
_NEAR = 20


@dataclass(frozen=True)
class Moved:
    """One row of a trained instruction.

    Attributes:
        row: its place, from 0.
        word: the token that it began as; a leading `_` stands for a space.
        cosine: to that token's embedding now.
        drift: its distance from it, |q - e(w)|.
        nearest: the token that is nearest by cosine now, no special one.
    """

    row: int
    word: str
    cosine: float
    drift: float
    nearest: Neighbour


@dataclass(frozen=True, repr=False)
class Discretised(Summarised):
    """An instruction put back into words.

    Attributes:
        text: the nearest words as text.
        faithful: whether the tokenizer reads the text as these very words.
        rows: what became of each row.
        metric: the task's main metric.
        before: every metric of the trained prompt.
        after: every metric of the text, in the trained prompt's place.
        prompt: the text as a prompt.
    """

    text: str
    faithful: bool
    rows: tuple[Moved, ...]
    metric: str
    before: Scores
    after: Scores
    prompt: Prompt

    def summary(self) -> Summary:
        """What a notebook shows of it."""
        scores = {"trained": self.before, "as text": self.after}
        facts = [(name, f"{self.metric} {figure(found, self.metric):.3f}") for name, found in scores.items()]
        return Summary("Instruction put back into words", [("text", self.text), *facts])

    @property
    def cost(self) -> float:
        """What the main metric loses; below zero where it gains."""
        return figure(self.before, self.metric) - figure(self.after, self.metric)


@torch.no_grad()
def drift(prompt: Prompt) -> tuple[Moved, ...]:
    """What became of each word of a trained instruction.

    Raises:
        SoftPromptError: a prompt of another method, or no tokenizer.
    """
    _, producer = _parts(prompt)
    now, start = producer.table.float().cpu(), producer.start.float().cpu()
    cosines = torch.cosine_similarity(now, start, dim=-1).tolist()
    distances = (now - start).norm(dim=-1).tolist()
    nearest = [_plain(reading, prompt.tokenizer) for reading in nearest_words(prompt, k=_NEAR).rows]
    return tuple(
        Moved(row, as_text(prompt.tokenizer, word), cosines[row], distances[row], nearest[row])
        for row, word in enumerate(_tokens(prompt, _parts(prompt)[0].text))
    )


def discretise(prompt: Prompt, rows: Sequence[Row], *, batch_size: int = 32) -> Discretised:
    """Put a trained instruction back into words and measure what that costs.

    Args:
        prompt: of a finished run, method `instruction`.
        rows: labelled rows to measure on, such as `task.splits(seed).test`.
        batch_size: rows a forward pass.

    Raises:
        SoftPromptError: a prompt of another method or without a task, or no rows.
    """
    _parts(prompt)
    if prompt.task is None or not rows:
        raise SoftPromptError("discretise measures on labelled rows of the prompt's task: give a run's prompt and rows")
    moved = drift(prompt)
    ids = [one.nearest.id for one in moved]
    text = str(prompt.tokenizer.decode(ids, clean_up_tokenization_spaces=False))
    plain = _with_text(prompt, text)
    before, after = (_scored(one, rows, batch_size) for one in (prompt, plain))
    faithful = _tokens(prompt, text) == ids
    return Discretised(text, faithful, moved, prompt.task.metric, before, after, plain)


def check_method(method: Method) -> None:
    """Raise `SoftPromptError` where a method's prompt is no task text, so that it has no words to go back to."""
    if not isinstance(method, Instruction):
        raise SoftPromptError(
            f"method {method.name!r} trains no task text: drift and discretise read prompts of the method 'instruction'"
        )


def _parts(prompt: Prompt) -> tuple[Instruction, InstructionWords]:
    check_method(prompt.method)
    assert isinstance(prompt.method, Instruction)
    assert isinstance(prompt.producer, InstructionWords)
    return prompt.method, prompt.producer


def _tokens(prompt: Prompt, text: str) -> list[int]:
    return token_ids(prompt.tokenizer, text)


def _plain(reading: RowReading, tokenizer: PreTrainedTokenizerBase) -> Neighbour:
    special = set(tokenizer.all_special_ids)
    return next((one for one in reading.neighbours if one.id not in special), reading.neighbours[0])


def _with_text(prompt: Prompt, text: str) -> Prompt:
    """The same prompt with another text, untrained; keys and values and the readout's head stay."""
    method, trained = _parts(prompt)
    other = method.model_copy(update={"text": text})
    producer = build(prompt.backbone, other)
    assert isinstance(producer, InstructionWords)
    assert prompt.task is not None
    if producer.keys is not None:
        producer.keys.use(trained.stored()["prefix"])
    assert prompt.readout_spec is not None
    readout = build_readout(prompt.task, prompt.backbone, producer, prompt.readout_spec)
    stored = {} if prompt.readout is None else prompt.readout.stored()
    if stored:
        readout.load_stored(stored)
    return dataclasses.replace(prompt, method=other, producer=producer, readout=readout, meta={})


def _scored(prompt: Prompt, rows: Sequence[Row], batch_size: int) -> Scores:
    assert prompt.task is not None
    assert prompt.readout is not None
    with prompt.attached() as prompted:
        return metrics_of(prompted, prompt.readout, prompt.task, rows, batch_size=batch_size)
