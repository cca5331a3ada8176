"""The playground: one text put to every chosen prompt, those of one backbone in one mixed batch.

This file alone of the room imports torch, and it is imported by the first question.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from softprompt.attached.attach import attach
from softprompt.backbones.backbone import Backbone
from softprompt.backbones.load import load_backbone
from softprompt.errors import SoftPromptError
from softprompt.explain.anchors.columns import Structural
from softprompt.explain.anchors.maps import attention_map
from softprompt.explain.anchors.pictures import map_figures
from softprompt.explain.anchors.reading import check_slots
from softprompt.explain.nearest import lines_of, nearest_words
from softprompt.explain.nearest_page import nearest_parts
from softprompt.files.places import META, folder_of
from softprompt.inference.batches import to_device
from softprompt.inference.predict import Answer, answered, in_words
from softprompt.pages.parts import Note, Part, side_by_side
from softprompt.readouts import Readout, build_readout
from softprompt.serving.together import run_together
from softprompt.sites.attached import Attached
from softprompt.sites.modes import evaluating
from softprompt.storage.prompt import Prompt, load
from softprompt.storage.record import read_description
from softprompt.studio.places import Root
from softprompt.studio.questions import Question
from softprompt.tasks import Row, Task

_KEPT = 32  # prompts that stay loaded


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


@dataclass
class _Loaded:
    """Backbones and prompts that are in memory."""

    backbones: dict[str, Backbone] = field(default_factory=dict)
    prompts: dict[Path, tuple[int, Prompt]] = field(default_factory=dict)


class Playground:
    """The prompts of a folder, loaded as they are asked; one question at a time.

    Args:
        root: the folder.
    """

    def __init__(self, root: Root) -> None:
        """See the class."""
        self._root, self._loaded, self._lock = root, _Loaded(), threading.Lock()

    def ask(self, questions: Sequence[Question]) -> list[Said]:
        """Answer questions, those to prompts of one backbone in one batch; a fault is told in its place."""
        with self._lock:
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

    def words(self, name: str) -> list[list[Part]]:
        """The nearest words of a prompt's tokens, in runs as a page has them.

        Raises:
            SoftPromptError: it cannot be loaded, or nothing of its own stands in the input.
        """
        with self._lock:
            found = nearest_words(self._prompt(name))
            return side_by_side([*map(Note, lines_of(found)), *nearest_parts(found)])

    def anchors(self, question: Question) -> list[list[Part]]:
        """Attention among the tokens of a text with a prompt: softmax weights, and the scores before.

        Raises:
            SoftPromptError: it cannot be loaded, it has no slots, or the text lacks a field.
        """
        with self._lock:
            prompt = self._prompt(question.name)
            check_slots(prompt)
            row = _row(prompt.asked()[0], question)
            seen = [(question.name, attention_map(prompt, row, Structural()))]
            (weights,), (scores,) = map_figures(seen, "weights"), map_figures(seen, "scores")
            titles = (f"{weights.title}, softmax weights", f"{scores.title}, scores before the softmax")
            return side_by_side([replace(weights, title=titles[0]), replace(scores, title=titles[1])])

    def _works(self, place: int, question: Question) -> list[_Work] | SoftPromptError:
        """The question as it is put: once or, with a template of its own, twice; or why it cannot be."""
        try:
            prompt = self._prompt(question.name)
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
        """The answers in the order of the works: a mixed batch for each backbone."""
        found: dict[int, Answer | SoftPromptError] = {}
        groups: dict[int, list[int]] = {}
        for place, work in enumerate(works):
            groups.setdefault(id(work.prompt.model), []).append(place)
        for places in groups.values():
            own = [works[place] for place in places]
            first, prompts = own[0].prompt, {id(work.prompt): work.prompt for work in own}
            slots = {key: f"p{number}" for number, key in enumerate(prompts)}
            asks = [partial(_asked, work, slots[id(work.prompt)]) for work in own]
            with (
                attach(first.backbone, {slots[key]: one for key, one in prompts.items()}) as prompted,
                evaluating(prompted, *(work.readout for work in own)),
            ):
                given = run_together(prompted, asks, int(first.tokenizer.pad_token_id or 0))
            found |= dict(zip(places, given, strict=True))
        return [found[place] for place in range(len(works))]

    def _prompt(self, name: str) -> Prompt:
        """A prompt, loaded once until its file changes."""
        folder = folder_of(self._root.run(name))
        if not (folder / META).is_file():
            raise SoftPromptError(f"{name}: this run is not finished: it has no prompt to ask yet")
        stamp, known = (folder / META).stat().st_mtime_ns, self._loaded.prompts.get(folder)
        if known is not None and known[0] == stamp:
            return known[1]
        backbone = read_description(folder).record.backbone_name
        if backbone is None:
            raise SoftPromptError(f"{name}: its prompt does not name its backbone: ask it with softprompt predict")
        if backbone not in self._loaded.backbones:
            self._loaded.backbones[backbone] = load_backbone(backbone)
        if len(self._loaded.prompts) >= _KEPT:
            self._loaded.prompts.pop(next(iter(self._loaded.prompts)))
        made = load(folder, self._loaded.backbones[backbone])
        self._loaded.prompts[folder] = (stamp, made)
        return made


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
