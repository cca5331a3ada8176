"""The training of several tasks as one: prompts that share, readouts side by side, one fit, a prompt for each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from softprompt.attached.attach import attach
from softprompt.attached.model import PromptedModel
from softprompt.errors import Interrupted
from softprompt.files.places import METRICS, TASKS, TENSORS, folder_of
from softprompt.readouts import build_readout
from softprompt.readouts.cut import told_cuts
from softprompt.readouts.settled import told_end
from softprompt.sites.producer import Producer
from softprompt.tasks import Row
from softprompt.training.divergence import of_stage
from softprompt.training.fitting.stage import fit_stage
from softprompt.training.fitting.stage_spec import FittedStage, Stage
from softprompt.training.fitting.task_model import TaskModel
from softprompt.training.identity import digest_of, starts_of
from softprompt.training.lengths import told_length
from softprompt.training.multitask.parts import SHARED, common, prompts_of
from softprompt.training.multitask.storing import seen_alone, store_shared, store_task, write_metrics
from softprompt.training.multitask.teachers import Taught, seen_by, taught_by
from softprompt.training.multitask.together import OfTask, Part, Together
from softprompt.training.multitask.trainer import MultitaskTrainer, prepared
from softprompt.training.process import stop_signal
from softprompt.training.results import seen_at_start
from softprompt.training.run import Run
from softprompt.training.setup import STATE, RunSpec, told_rate, too_few
from softprompt.training.warm_start import check_starts, start_from

_OF_TASK = ("task_definition", "readout", "rows", "shots", "protocol")  # of a run's identity: what each task has


@dataclass(frozen=True)
class Joint:
    """A run of several tasks, settled before its first step.

    Attributes:
        specs: what each task's own run would be made of.
        folder: of all files.
        teachers: by a task's name the folder of the prompt that it learns from.
        distillation: the weight of what it learns so.
    """

    specs: Sequence[RunSpec]
    folder: Path
    teachers: dict[str, str]
    distillation: float

    @property
    def first(self) -> RunSpec:
        """The run of one of the tasks: what they all have stands in each."""
        return self.specs[0]

    def identity(self) -> dict[str, JsonValue]:
        """What makes it this run, in `run.json`."""
        every = {key: value for key, value in self.first.identity.items() if key not in (*_OF_TASK, "task", "starts")}
        tasks: dict[str, JsonValue] = {
            spec.task.name: {key: spec.identity[key] for key in _OF_TASK} for spec in self.specs
        }
        places = (*starts_of(self.first.method, self.first.options), *self.teachers.values())
        starts: dict[str, JsonValue] = {place: digest_of(folder_of(Path(place)) / TENSORS) for place in places}
        own: dict[str, JsonValue] = {"starts": starts, TASKS: tasks, "distillation": self.distillation}
        return {**every, **own, "teachers": {**self.teachers}}

    def train(self) -> dict[str, Run]:
        """Train all tasks together, then measure and store each."""
        first = self.first
        prompts = prompts_of(self._begun(), first.method, [spec.task.name for spec in self.specs])
        parts = [self._part(spec, prompts) for spec in self.specs]
        taught = [self._taught(spec) for spec in self.specs]
        with attach(first.backbone, prompts, dropout=first.options.dropout) as prompted, stop_signal() as stop:
            fitted = self._fit(prompted, parts, taught, lambda: stop["asked"])
        starts = [*seen_at_start(first), *seen_by(self.teachers)]
        seen = {spec.task.name: seen_alone(spec, starts) for spec in self.specs}
        runs = {}
        for spec, part in zip(self.specs, parts, strict=True):
            others = {name: one for name, one in seen.items() if name != spec.task.name}
            known = seen_alone(spec, [*starts, *others.values()])
            runs[spec.task.name] = store_task(spec, prompts[part.prompt], part, fitted, known, list(others))
        shared = common(prompts, first.method)
        store_shared(self.folder / SHARED, first, shared, seen_alone(first, [*starts, *seen.values()]))
        write_metrics(self.folder / METRICS, first, runs, fitted)
        return runs

    def _begun(self) -> Producer:
        """The prompt before the first step."""
        first = self.first
        words = dict.fromkeys(
            word for spec in self.specs for word in spec.task.label_words(first.backbone.is_encoder_decoder)
        )
        with attach(first.backbone, first.method, label_words=tuple(words), seed=first.splits.seed) as made:
            check_starts(first.method, first.backbone)
            if first.options.init_from is not None:
                start_from(made, first.method, first.options.init_from)
            (own,) = made.prompts
        assert isinstance(own, Producer)
        return own

    def _taught(self, spec: RunSpec) -> list[Taught] | None:
        """What the teacher of a task says of its training rows; None where it has none."""
        place = self.teachers.get(spec.task.name)
        return None if place is None else taught_by(place, spec)

    def _part(self, spec: RunSpec, prompts: Mapping[str, Producer]) -> Part:
        name = spec.task.name
        prompt = name if name in prompts else SHARED
        return Part(spec.task, build_readout(spec.task, spec.backbone, prompts[prompt], spec.readout_spec), prompt)

    def _fit(
        self,
        prompted: PromptedModel,
        parts: Sequence[Part],
        taught: Sequence[list[Taught] | None],
        stopping: Callable[[], bool],
    ) -> FittedStage:
        """Train, and leave the best state in prompts and readouts."""
        first, anatomy, plan = self.first, prompted.anatomy, self.first.plan
        items = _encoded(parts, [spec.splits.train for spec in self.specs], taught)
        validation = _encoded(parts, [spec.splits.validation for spec in self.specs], [None] * len(parts))
        trained = TaskModel(prompted, Together(parts, self.distillation))
        show = first.show
        show.say(f"{len(parts)} tasks together: {len(items)} training rows; files go to {self.folder}")
        for line in (*told_rate(anatomy, first.method, first.options), *self._told(items, validation)):
            show.say(f"  {line}")
        state = self.folder / STATE
        stage = Stage(
            None, trained, first.task, plan, first.options, items, validation, state, first.splits.seed, show, stopping
        )
        fitted = fit_stage(stage, MultitaskTrainer, prepared)
        if stopping():
            raise Interrupted(f"stopped at step {fitted.steps}; {state} holds the state: resume=True goes on from it")
        fault = fitted.extra["diverged"]
        if fault is not None:
            head = trained.trained_scalars().head > 0
            raise of_stage(
                {**fault, "best_step": fitted.extra["best_step"]}, plan, first.options, head=head, kept=False
            )
        trained.load_state_dict(fitted.state)
        return fitted

    def _told(self, *parts: Sequence[OfTask]) -> list[str]:
        """Of each task, as in a run of its own: its rows' length, classes with few, ends that are scored, and cuts."""
        lines, seq2seq = list[str](), self.first.backbone.is_encoder_decoder
        for place, spec in enumerate(self.specs):
            items = [item for items in parts for item in items if item.place == place]
            rows = f"training and validation rows of {spec.task.name}"
            ends = told_end(items, spec.task, rows, seq2seq=seq2seq)
            lines += [f"{spec.task.name}: {line}" for line in told_length(spec.readout_spec, spec.options)]
            lines += [*too_few(spec.task, spec.splits), *ends, *told_cuts(items, spec.readout_spec, rows)]
        return lines


def _encoded(
    parts: Sequence[Part], rows: Sequence[Sequence[Row]], taught: Sequence[list[Taught] | None]
) -> list[OfTask]:
    """The rows of each part, with what a teacher says of them where there is one."""
    return [
        OfTask.of(part.readout.encode(row), place, told)
        for place, (part, own, teacher) in enumerate(zip(parts, rows, taught, strict=True))
        for row, told in zip(own, itertools.repeat(None) if teacher is None else teacher, strict=False)
    ]
