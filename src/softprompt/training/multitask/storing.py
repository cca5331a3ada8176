"""What a run of several tasks stores: a run's files for each of them, and the prompt that a further one starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from softprompt.attached.attach import attach
from softprompt.files.manifest import sealed
from softprompt.files.places import METRICS
from softprompt.files.whole import write_json
from softprompt.sites.producer import Producer
from softprompt.storage.prompt import Prompt, save
from softprompt.tasks import Task
from softprompt.tasks.row_hash import fields_read
from softprompt.tasks.seen import SeenRows
from softprompt.training.fitting.stage_spec import FittedStage
from softprompt.training.fitting.task_model import TaskModel
from softprompt.training.measure import peak_memory, versions
from softprompt.training.multitask.together import Part
from softprompt.training.multitask.trainer import MEAN
from softprompt.training.results import measured_splits, metrics_of_run, prompt_of
from softprompt.training.run import Run, work_of
from softprompt.training.setup import PROMPT, RunSpec


def seen_alone(spec: RunSpec, starts: Sequence[SeenRows]) -> SeenRows:
    """The rows of one task, and those of the prompts that it started from."""
    return SeenRows.of(spec.splits, _fields(spec.task), starts)


def store_task(
    spec: RunSpec, producer: Producer, part: Part, fitted: FittedStage, seen: SeenRows, others: list[str]
) -> Run:
    """Measure a task's prompt alone on its backbone, and store it.

    Args:
        spec: of the task's own run.
        producer: its prompt.
        part: its readout.
        fitted: the training of all tasks.
        seen: the rows of all tasks.
        others: names of the tasks that it was trained with.
    """
    with attach(spec.backbone, {spec.task.name: producer}) as prompted:
        work = work_of(spec, prompted)
        work.trained = TaskModel(prompted, part.readout)
        work.seconds = fitted.extra["seconds"]
        work.rows_seen = fitted.steps * work.plan.batch_size * work.options.accumulate
        work.history, work.report = [{**one} for one in fitted.extra["history"]], {"together_with": others}
        measured = measured_splits(spec, work, seen)
        memory = peak_memory(spec.backbone.device)
    prompt = prompt_of(spec, work, measured, seen, None)
    save(prompt, spec.folder / PROMPT)
    metrics = metrics_of_run(spec, work, prompt, measured, memory=memory, diverged=None)
    measured.write_predictions(spec.folder)
    return Run(spec.folder, metrics.write(spec.folder / METRICS), prompt)


def store_shared(folder: Path, spec: RunSpec, made: Producer, seen: SeenRows) -> None:
    """Store what a further task may start from: a prompt of no task, which has seen the rows of all."""
    own = spec.backbone
    meta = {"backbone_name": spec.identity["backbone"], "seed": spec.splits.seed, "versions": versions()}
    save(Prompt(spec.method, made, None, None, None, own.fingerprint, own.model, own.tokenizer, meta, seen), folder)


def write_metrics(path: Path, spec: RunSpec, runs: Mapping[str, Run], fitted: FittedStage) -> None:
    """Write what the run tells as a whole: its last file, by which it is finished."""
    found = {name: done.record.test.figures() or done.record.validation.figures() for name, done in runs.items()}
    told = {
        "method": spec.method.name,
        "tasks": {name: figures.get(runs[name].record.metric) for name, figures in found.items()},
        "validation": {MEAN: fitted.extra["best_metrics"].get(MEAN)},
        "train_seconds": round(fitted.extra["seconds"], 3),
        "history": fitted.extra["history"],
    }
    write_json(path, sealed(told))


def _fields(task: Task) -> tuple[str, ...]:
    return fields_read((task.template, *task.templates.values()))
