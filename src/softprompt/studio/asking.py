"""The playground: one text put to every chosen prompt, those of one backbone in one mixed batch.

This file and `loaded` alone of the room import torch, and they are imported by the first question.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from softprompt.attached.attach import attach
from softprompt.errors import SoftPromptError
from softprompt.explain.anchors.columns import Structural
from softprompt.explain.anchors.maps import attention_map
from softprompt.explain.anchors.pictures import map_figures
from softprompt.explain.anchors.reading import check_slots
from softprompt.explain.nearest import lines_of, nearest_words
from softprompt.explain.nearest_page import nearest_parts
from softprompt.inference.batches import to_device
from softprompt.inference.predict import Answer, answered, in_words
from softprompt.pages.parts import Note, Part, side_by_side
from softprompt.readouts import Readout, build_readout
from softprompt.serving.together import run_together
from softprompt.sites.attached import Attached
from softprompt.sites.modes import evaluating
from softprompt.sites.wrapped import changes_weights
from softprompt.storage.prompt import Prompt
from softprompt.studio.loaded import Loaded
from softprompt.studio.places import Root
from softprompt.studio.questions import Question
from softprompt.tasks import Row, Task


@dataclass(frozen=True)
class Said:
    """What one prompt answers.

    Attributes:
        name: of its run.
        answer: None where there is a fault.
        fault: why there is no answer.
        template: around the text: its own, or the one that was given.
        own: its own template.
        before: the answer with its own template, where another was given.
    """

    name: str
    answer: Answer | None = None
    fault: str = ""
    template: str = ""
    own: str = ""
    before: Answer | None = None


@dataclass
class _Work:
    """A question that can be put: the row, and how its answer is read."""

    place: int
    prompt: Prompt
    task: Task
    readout: Readout
    row: Row


class Playground:
    """The prompts of a folder, loaded as they are asked; one question at a time.

    Args:
        root: the folder.
    """

    def __init__(self, root: Root) -> None:
        """See the class."""
        self._loaded, self._lock = Loaded(root), threading.Lock()

    def ask(self, questions: Sequence[Question]) -> list[Said]:
        """Answer questions, those to prompts of one backbone in one batch; a fault is told in its place.

        Backbones come one after another, those that are in memory first.
        """
        with self._lock:
            found: dict[int, Said] = {}
            groups: dict[str, list[int]] = {}
            for place, one in enumerate(questions):
                named = self._backbone_of(one)
                if isinstance(named, Said):
                    found[place] = named
                else:
                    groups.setdefault(named, []).append(place)
            there = self._loaded.backbones
            for name in sorted(groups, key=lambda name: name not in there):
                own = [questions[place] for place in groups[name]]
                found |= dict(zip(groups[name], self._together(own), strict=True))
            return [found[place] for place in range(len(questions))]

    def words(self, name: str) -> list[list[Part]]:
        """The nearest words of a prompt's tokens, in runs as a page has them.

        Raises:
            SoftPromptError: it cannot be loaded, or nothing of its own stands in the input.
        """
        with self._lock:
            found = nearest_words(self._loaded.prompt(name))
            return side_by_side([*map(Note, lines_of(found)), *nearest_parts(found)])

    def anchors(self, question: Question) -> list[list[Part]]:
        """Attention among the tokens of a text with a prompt: softmax weights, and the scores before.

        Raises:
            SoftPromptError: it cannot be loaded, it has no slots, or the text lacks a field.
        """
        with self._lock:
            prompt = self._loaded.prompt(question.name)
            check_slots(prompt)
            row = _row(prompt.asked()[0], question)
            seen = [(question.name, attention_map(prompt, row, Structural()))]
            (weights,), (scores,) = map_figures(seen, "weights"), map_figures(seen, "scores")
            titles = (f"{weights.title}, softmax weights", f"{scores.title}, scores before the softmax")
            return side_by_side([replace(weights, title=titles[0]), replace(scores, title=titles[1])])

    def _backbone_of(self, question: Question) -> str | Said:
        """What a question's prompt is over, or why it cannot be asked."""
        try:
            return self._loaded.backbone_of(question.name)
        except SoftPromptError as error:
            return Said(question.name, fault=str(error))

    def _together(self, questions: Sequence[Question]) -> list[Said]:
        """Answer questions to prompts of one backbone, which nothing refers to afterwards."""
        found: dict[int, Said] = {}
        works: list[_Work] = []
        for place, one in enumerate(questions):
            made = self._works(place, one)
            if isinstance(made, SoftPromptError):
                found[place] = Said(one.name, fault=str(made))
            else:
                works += made
        answers = self._answers(works)
        for place, one in enumerate(questions):
            own = [(work, answer) for work, answer in zip(works, answers, strict=True) if work.place == place]
            if own:
                found[place] = _said(one, own)
        return [found[place] for place in range(len(questions))]

    def _works(self, place: int, question: Question) -> list[_Work] | SoftPromptError:
        """The question as it is put: once or, with a template of its own, twice; or why it cannot be."""
        try:
            prompt = self._loaded.prompt(question.name)
            task, readout = prompt.asked()
            row = _row(task, question)
            found = [_Work(place, prompt, task, readout, row)]
            if question.template and question.template != _template(readout):
                found.append(_Work(place, prompt, *_reworded(prompt, question.template), row))
        except SoftPromptError as error:
            return error
        return found

    @torch.inference_mode()
    def _answers(self, works: Sequence[_Work]) -> list[Answer | SoftPromptError]:
        """The answers in the order of the works: of one mixed batch, but that what changes weights is asked alone."""
        groups: dict[int | None, list[int]] = {}
        for place, work in enumerate(works):
            alone = id(work.prompt) if changes_weights(work.prompt.producer) else None
            groups.setdefault(alone, []).append(place)
        found: dict[int, Answer | SoftPromptError] = {}
        for places in groups.values():
            found |= dict(zip(places, self._attached([works[place] for place in places]), strict=True))
        return [found[place] for place in range(len(works))]

    def _attached(self, works: Sequence[_Work]) -> list[Answer | SoftPromptError]:
        """The answers of one batch."""
        first, prompts = works[0].prompt, {id(work.prompt): work.prompt for work in works}
        slots = {key: f"p{number}" for number, key in enumerate(prompts)}
        asks = [partial(_asked, work, slots[id(work.prompt)]) for work in works]
        with (
            attach(first.backbone, {slots[key]: one for key, one in prompts.items()}) as prompted,
            evaluating(prompted, *(work.readout for work in works)),
        ):
            return run_together(prompted, asks, int(first.tokenizer.pad_token_id or 0))


def _row(task: Task, question: Question) -> Row:
    lacking = [name for name in task.fields if not question.fields.get(name, "").strip()]
    if lacking:
        raise SoftPromptError(f"{question.name}: reads {', '.join(task.fields)}: fill in {', '.join(lacking)}")
    return task.rows_of([{name: question.fields[name] for name in task.fields}])[0]


def _template(readout: Readout) -> str:
    """What stands around a text as a readout reads it; empty where it has several forms."""
    encoder = getattr(readout, "row_encoder", None)
    return "" if encoder is None else str(encoder.template)


def _reworded(prompt: Prompt, template: str) -> tuple[Task, Readout]:
    """The task in other words, and a readout for it with the prompt's own head."""
    task, own = prompt.asked()
    assert prompt.readout_spec is not None
    other = task.with_template(template)
    made = build_readout(other, prompt.backbone, prompt.producer, prompt.readout_spec)
    made.load_stored(own.stored())
    return other, made


def _asked(work: _Work, slot: str, stand: Attached) -> Answer:
    """The answer of one work through a model that stands for the attached one (`serving.together`)."""
    batch = to_device(work.readout.collate([work.readout.encode(work.row)]), stand)
    outcome = answered(work.readout.answer(stand, batch, slot))[0]
    return in_words(work.task, work.row, outcome, stand.anatomy.kind == "encoder-decoder")


def _said(question: Question, own: Sequence[tuple[_Work, Answer | SoftPromptError]]) -> Said:
    """The answer to a question, which was put once or, with another template, twice."""
    (first, before), (last, answer) = own[0], own[-1]
    fault = next((str(one) for _, one in own if isinstance(one, SoftPromptError)), "")
    return Said(
        question.name,
        answer if isinstance(answer, Answer) else None,
        fault,
        _template(last.readout),
        _template(first.readout),
        before if len(own) > 1 and isinstance(before, Answer) else None,
    )
