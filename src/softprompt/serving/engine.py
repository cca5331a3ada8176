"""Rows of many tasks, answered over one frozen model in as few passes as their readouts allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from softprompt.attached.answering import Text
from softprompt.attached.lowered import reach_of
from softprompt.attached.model import PromptedModel
from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError
from softprompt.inference.batches import to_device
from softprompt.inference.predict import Answer, answered, in_words
from softprompt.readouts import Item, Outcome, Readout
from softprompt.readouts.head import Head
from softprompt.serving.begin_writing import Context, writing_of
from softprompt.serving.folder import folder_of_prompts
from softprompt.serving.served import Served
from softprompt.serving.shelf import Shelf
from softprompt.serving.together import Instead, run_together
from softprompt.serving.writing import Wishes, Writing
from softprompt.sites.attached import Attached
from softprompt.sites.prefix_sharing import why_rows_stay_apart
from softprompt.tasks import Row, Task

R = TypeVar("R")


@dataclass(frozen=True, eq=False)
class Question:
    """One row for one prompt.

    Attributes:
        served: the prompt, which it is a user of until it is forgotten.
        row: as the task reads it.
        item: the row, encoded.
        tokens: columns of its text, once.
        longest: columns of its longest sequence, virtual tokens among them.
        cost: columns that it takes in a batch, virtual tokens and candidates among them.
    """

    served: Served
    row: Row
    item: Item
    tokens: int
    longest: int
    cost: int

    @property
    def task(self) -> str:
        """Who is to be served fairly: the prompt."""
        return self.served.name


class Engine:
    """The prompts of a folder over one frozen model.

    Args:
        backbone: the model.
        folder: of run and prompt folders.
        memory: bytes that the prompts may take together; None for any.

    Attributes:
        pads: whether rows that are answered together are padded to one length.

    Raises:
        SoftPromptError: there is no such folder.

    Example:
        >>> from softprompt.serving.engine import Engine
        >>> folder = sp.save(prompt, "prompts/reviews")
        >>> with Engine(sp.Backbone(model, tokenizer), "prompts") as engine:
        ...     engine.look()
        ...     answer = engine.answer(engine.ask("reviews", ["a moving film"]))[0]
        >>> answer.label == prompt.predict(["a moving film"])[0]
        True
    """

    def __init__(self, backbone: Backbone, folder: str | Path, memory: int | None = None) -> None:
        """See the class; the folder is not looked at yet."""
        self.backbone = backbone
        self.shelf = Shelf(backbone, folder_of_prompts(folder), memory)
        self.filler = int(backbone.tokenizer.pad_token_id or 0)
        self._reach = reach_of(backbone.anatomy)
        self.pads = why_rows_stay_apart(backbone.anatomy) is not None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def look(self) -> None:
        """See which prompts have come, changed or gone; those that cannot be served are told, and stop no other."""
        self.shelf.look()

    def close(self) -> None:
        """Give the backbone back as it was."""
        self.shelf.close()

    def ask(self, name: str, texts: Sequence[Text]) -> list[Question]:
        """Questions to a prompt, encoded; `forget` each of them once it is done with.

        Args:
            name: of the prompt.
            texts: texts, or fields by name.

        Raises:
            NotServed: there is no prompt of that name.
            SoftPromptError: it knows no task, or a row has a fault.
        """
        served = self.shelf.take(name)
        try:
            task, readout = _asked(served)
            found = [self._question(served, readout, row) for row in task.rows_of(texts)]
        except BaseException:
            self.shelf.give_back(served)
            raise
        self.shelf.use_again(served, len(found) - 1)
        return found

    def begin(self, name: str, text: Context, wishes: Wishes, most: int | None = None) -> Writing:
        """A text that a prompt is to write; `forget` it once it has ended.

        Args:
            name: of the prompt.
            text: what it goes on with, see `writing_of`.
            wishes: how it is written.
            most: tokens at most; by default as the task has it.

        Raises:
            NotServed: there is no prompt of that name.
            SoftPromptError: it writes no text, the row has a fault, or there is no room.
        """
        served = self.shelf.take(name)
        try:
            return writing_of(served, self.backbone, text, wishes, most)
        except BaseException:
            self.shelf.give_back(served)
            raise

    def writes(self, name: str) -> bool:
        """Whether a prompt writes texts, and has no labels.

        Raises:
            NotServed: there is no prompt of that name.
        """
        return self.shelf.about(name).writes

    def forget(self, done: Sequence[Question | Writing]) -> None:
        """Use the prompts of some questions and texts no more."""
        for one in done:
            self.shelf.give_back(one.served)

    def answer(self, questions: Sequence[Question]) -> list[Answer | SoftPromptError]:
        """The answer to each question, or the fault that it has; all of them share the passes that they can share."""
        return self._each(questions, _answers)

    def embed(self, questions: Sequence[Question]) -> list[list[float] | SoftPromptError]:
        """Of each question the pooled states `(H,)` that its prompt's head reads."""
        return self._each(questions, _features)

    @torch.inference_mode()
    def _each(
        self, questions: Sequence[Question], ask: Callable[[Served, Sequence[Question], Attached], list[R]]
    ) -> list[R | SoftPromptError]:
        groups: dict[Served, list[int]] = {}
        for place, question in enumerate(questions):
            groups.setdefault(question.served, []).append(place)
        found: dict[int, R | SoftPromptError] = {}
        with self.shelf.lock:
            self.shelf.sweep()
            for prompted, members in self._by_model(list(groups)):
                works = [partial(ask, one, [questions[place] for place in groups[one]]) for one in members]
                given = run_together(prompted, works, self.filler, self._instead(prompted, members))
                for one, outcome in zip(members, given, strict=True):
                    each = [outcome] * len(groups[one]) if isinstance(outcome, SoftPromptError) else outcome
                    found.update(zip(groups[one], each, strict=True))
        return [found[place] for place in range(len(questions))]

    def _by_model(self, members: Sequence[Served]) -> list[tuple[PromptedModel, list[Served]]]:
        """Prompts by the model that they are attached to: all in one, but for those that change its weights."""
        shared = [one for one in members if one.alone is None]
        apart = [(one.alone, [one]) for one in members if one.alone is not None]
        return [*([(self.shelf.prompted, shared)] if shared else []), *apart]

    def _instead(self, prompted: PromptedModel, members: Sequence[Served]) -> Instead:
        """Let lowered prompts stand for themselves where every column sees the whole of them."""
        places = {name: place for place, name in enumerate(prompted.names)}
        lowered = {places[one.slot]: places[one.lowered] for one in members if one.lowered in places}
        return partial(_lowered, lowered, {place: prompted.slots[place].count for place in lowered}, self._reach)

    def _question(self, served: Served, readout: Readout, row: Row) -> Question:
        item = readout.encode(row)
        own = _columns_of(served)
        answer = max((len(ids) for ids in item.targets), default=0)
        sequences = max(len(item.texts), 1)
        tokens = len(item.texts[0].ids)
        longest = item.length + own + answer
        return Question(served, row, item, tokens, longest, longest * sequences)


def _asked(served: Served) -> tuple[Task, Readout]:
    task, readout = served.prompt.task, served.prompt.readout
    if task is None or readout is None:
        raise SoftPromptError(f"model {served.name!r} knows no task: it goes on with texts, at /v1/completions alone")
    return task, readout


def _columns_of(served: Served) -> int:
    """Columns that a prompt takes in front of its text."""
    footprint = served.prompt.producer.footprint
    return footprint.count + footprint.prefix


def _lowered(lowered: Mapping[int, int], counts: Mapping[int, int], reach: int | None, row: int, length: int) -> int:
    if row not in lowered or (reach is not None and length + counts[row] > reach):
        return row
    return lowered[row]


def _answers(served: Served, questions: Sequence[Question], stand: Attached) -> list[Answer | SoftPromptError]:
    task, readout = _asked(served)
    batch = to_device(readout.collate([one.item for one in questions]), stand)
    outcomes = readout.answer(stand, batch, served.slot)
    seq2seq = stand.anatomy.kind == "encoder-decoder"
    return [_in_words(task, one.row, outcome, seq2seq) for one, outcome in zip(questions, outcomes, strict=True)]


def _in_words(task: Task, row: Row, outcome: Outcome, seq2seq: bool) -> Answer | SoftPromptError:
    try:
        return in_words(task, row, answered([outcome])[0], seq2seq)
    except SoftPromptError as error:
        return error


def _features(served: Served, questions: Sequence[Question], stand: Attached) -> list[list[float] | SoftPromptError]:
    readout = served.prompt.readout
    if not isinstance(readout, Head) or readout.row_encoder.template.has_choice:
        raise SoftPromptError(f"model {served.name!r} has no embedding of a text: it is not read by a head")
    batch = to_device(readout.collate([one.item for one in questions]), stand)
    rows: list[list[float]] = readout.features(stand, batch, served.slot).tolist()
    return [*rows]
