"""A run: a task, a backbone and a method, from rows to a stored prompt and its metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from softprompt.attached.attach import attach
from softprompt.backbones.anatomy import read_anatomy
from softprompt.backbones.fingerprint import fingerprint
from softprompt.errors import Interrupted, SoftPromptError
from softprompt.evaluation.score import metrics_of
from softprompt.files.manifest import sealed
from softprompt.files.places import TENSORS, folder_of
from softprompt.files.whole import write_json
from softprompt.guards.paths import path_of
from softprompt.methods.base import Method
from softprompt.methods.registry import checked
from softprompt.methods.registry import method as method_of
from softprompt.progress import Progress
from softprompt.readouts import Item, ReadoutSpec
from softprompt.storage.prompt import Prompt, load, save
from softprompt.storage.seen import seen_of
from softprompt.tasks import Row, Splits, Task
from softprompt.tasks.row_hash import fields_read
from softprompt.tasks.seen import SeenRows
from softprompt.training import courses
from softprompt.training.courses.work import Work
from softprompt.training.divergence import Diverged, Fault, kept
from softprompt.training.finished import damage, read_metrics
from softprompt.training.fitting.best import proved
from softprompt.training.hold import hold_folder
from softprompt.training.identity import identity_of, starts_of
from softprompt.training.measure import peak_memory, reset_peak, versions
from softprompt.training.options import TrainingOptions, planned
from softprompt.training.process import alone, reproducible, stop_signal
from softprompt.training.run_folder import METRICS, check_same, claim, leaving_nothing, output_folder
from softprompt.training.setup import counts, readout_spec
from softprompt.training.warm_start import start_from

PROMPT, STATE = "prompt", "state"

__all__ = ["Interrupted", "Run", "open_run", "train"]


@dataclass
class Run:
    """A finished run.

    Attributes:
        folder: where its files are.
        metrics: what `metrics.json` holds.
        prompt: the trained prompt.
    """

    folder: Path
    metrics: dict[str, Any]
    prompt: Prompt

    def predict(self, texts: Sequence[Any], *, batch_size: int = 32) -> list[str]:
        """The label of each text; see `Prompt.predict`."""
        return self.prompt.predict(texts, batch_size=batch_size)


@alone()
def train(
    model: nn.Module,
    tokenizer: Any,
    task: Task,
    method: Method | str,
    *,
    seed: int = 13,
    output: str | Path | None = None,
    resume: bool = False,
    progress: bool | Progress = True,
    backbone: str | None = None,
    **options: Any,
) -> Run:
    """Train a method on a task over a frozen model, measure it and store it.

    Args:
        model: the backbone, from `load_backbone` or any transformers model.
        tokenizer: its tokenizer.
        task: with its data.
        method: a method, or its name.
        seed: of the split, the prompt's first values and the order of rows.
        output: the run's folder; by default `runs/<task>-<method>-<seed>`.
        resume: go on with the run that the folder holds.
        progress: whether to show progress, or where.
        backbone: the backbone's name for the records.
        **options: see `TrainingOptions`.

    Returns:
        The run. The same arguments on the same machine give the same bytes in `prompt.safetensors`, resumed or not.

    Raises:
        SoftPromptError: a fault in the task, its rows or the options, a folder that holds another run, or a training
            in another thread of the process.
        Diverged: the loss did not stay finite (`softprompt.training.divergence`). The best finite state was measured
            and stored before, where there was one: `open_run` opens it.
        Interrupted: SIGINT or SIGTERM came; the training state is written, and `resume=True` goes on.
    """
    chosen: TrainingOptions = checked(TrainingOptions, options, "training")
    method = method_of(method) if isinstance(method, str) else method
    folder = output_folder(output, f"{task.name}-{method.name}-{seed}")
    show = progress if isinstance(progress, Progress) else Progress(progress)
    spec = readout_spec(model, task, method, chosen)
    splits = task.splits(seed)
    _check_splits(task, splits)
    identity = identity_of(model, task, method, chosen, spec, splits, backbone)
    with hold_folder(folder) as fresh, leaving_nothing(folder, fresh):
        if claim(folder, identity, resume):
            damaged = damage(folder / METRICS, folder / PROMPT)
            if damaged is None:
                return _finished(folder, model, tokenizer, show)
            check_same(folder, identity, finished=False)
            show.say(f"{damaged}; made again from {folder / STATE}")
        with reproducible(seed, chosen.threads):
            return _train(model, tokenizer, task, method, chosen, spec, splits, folder, identity, show)


def open_run(folder: str | Path, model: nn.Module, tokenizer: Any) -> Run:
    """A finished run from its folder.

    Raises:
        SoftPromptError: no finished run there, a damaged file, or another backbone.
    """
    path = path_of(folder, "run")
    return Run(path, read_metrics(path / METRICS), load(path / PROMPT, model, tokenizer))


def _finished(folder: Path, model: nn.Module, tokenizer: Any, show: Progress) -> Run:
    """A run that needs nothing more; one that diverged says so again."""
    done = open_run(folder, model, tokenizer)
    if "diverged" in done.metrics:
        raise kept(done.metrics["diverged"], folder / PROMPT)
    show.say(f"{folder}: this run is finished already{_other_versions(done.metrics)}")
    return done


def _train(
    model: nn.Module,
    tokenizer: Any,
    task: Task,
    method: Method,
    options: TrainingOptions,
    spec: ReadoutSpec,
    splits: Splits,
    folder: Path,
    identity: dict[str, Any],
    show: Progress,
) -> Run:
    seed, starts = splits.seed, [_seen_of(place) for place in starts_of(method, options)]
    anatomy = read_anatomy(model)
    words = task.label_words(anatomy.kind == "encoder-decoder")
    device = next(model.parameters()).device
    reset_peak(device)
    with attach(model, tokenizer, method, label_words=words, seed=seed, dropout=options.dropout) as prompted:
        if options.init_from is not None:
            start_from(prompted, method, options.init_from)
        used = planned(options, method.recipe(anatomy.family, anatomy.kind))
        work = Work(
            prompted, task, method, splits.train, splits.validation, used, options, spec, folder / STATE, seed, show
        )
        _tell(show, task, splits, [work.items, work.validation], folder)
        own, head = counts(work.producer, work.readout)
        with stop_signal() as stop:
            work.stopping = lambda: stop["asked"]
            diverged = _taught(work)
        seen = SeenRows.of(splits, _fields_read(work), starts)
        measured = {
            "validation": _measure(work, splits.validation, "validation", replace(seen, validation=frozenset())),
            "test": _measure(work, splits.test, "test", seen),
        }
        memory = peak_memory(device)
    prompt = Prompt(
        work.method,
        work.producer,
        work.task,
        work.readout,
        spec,
        fingerprint(model),
        model,
        tokenizer,
        {
            "backbone_name": identity["backbone"],
            "seed": seed,
            "versions": versions(),
            "metrics": measured["test"] or measured["validation"],
            **work.report,
        },
        seen,
    )
    save(prompt, folder / PROMPT)
    metrics = {
        **{key: identity[key] for key in ("task", "method", "backbone", "seed", "dtype")},
        "metric": task.metric,
        "test": measured["test"],
        "validation": measured["validation"],
        "trained_parameters": own + head,
        "trained_head_parameters": head,
        "stored_parameters": prompt.stored_parameters,
        "stored_bytes": (folder / PROMPT / TENSORS).stat().st_size,
        "train_seconds": round(work.seconds, 3),
        "rows_per_second": round(work.rows_seen / work.seconds, 3) if work.rows_seen else None,
        "peak_memory_bytes": memory,
        "versions": versions(),
        "protocol": splits.protocol,
        "readout": spec.model_dump(mode="json"),
        "options": {"method": method.model_dump(mode="json"), "training": used.model_dump(mode="json")},
        "history": work.history,
        **work.readout.report(),
        **work.report,
        **({} if diverged is None else {"diverged": diverged}),
    }
    metrics = sealed(metrics)
    write_json(folder / METRICS, metrics)
    if diverged is not None:
        raise kept(diverged, folder / PROMPT)
    return Run(folder, metrics, prompt)


def _seen_of(start: str) -> SeenRows:
    return seen_of(folder_of(Path(start)))


def _fields_read(work: Work) -> tuple[str, ...]:
    """The fields that stand in the templates of the prompt as it was trained in the end."""
    own = (work.task.template, *work.task.templates.values())
    return fields_read((*own, *(template for template, _ in work.producer.pool)))


def _taught(work: Work) -> Fault | None:
    """Run the course; how it diverged, where it did and left a state that can be stored."""
    try:
        courses.of(work.method.course)(work)
    except Diverged as error:
        if not error.kept:
            raise
        return error.fault
    return None


def _measure(work: Work, rows: Sequence[Row], name: str, seen: SeenRows) -> dict[str, Any]:
    """The metrics of a split, and how many of its rows were seen: a published file may hold a text in two splits."""
    if not rows:
        return {}
    size = work.options.eval_batch_size
    with work.show.work(name, len(rows), "rows") as tick:
        found = metrics_of(work.prompted, work.readout, work.task, rows, batch_size=size, tick=tick)
    proved(found, work.task.metric, name)
    known = seen.count(rows)
    if known:
        work.show.say(f"  note: {known} of the {len(rows)} {name} rows read like rows that it was trained or chosen on")
    return {**found, "seen_rows": known}


def _tell(show: Progress, task: Task, splits: Splits, items: list[list[Item]], folder: Path) -> None:
    show.say(
        f"{task.name}: {len(splits.train)} training, {len(splits.validation)} validation, {len(splits.test)} test rows "
        f"({splits.protocol}); files go to {folder}"
    )
    for note in splits.notes:
        show.say(f"  note: {note}")
    cut = sum(item.truncated for rows in items for item in rows)
    if cut:
        show.say(f"  {cut} training and validation rows were cut to fit max_length (their longest text field)")


def _other_versions(metrics: dict[str, Any]) -> str:
    """What a finished run was computed with, where that is not what is installed now."""
    now = versions()
    then = [
        f"{name} {one} ({now.get(name)} here)"
        for name, one in (metrics.get("versions") or {}).items()
        if now.get(name) != one
    ]
    return f" (with {', '.join(then)})" if then else ""


def _check_splits(task: Task, splits: Splits) -> None:
    for name, rows in (("training", splits.train), ("validation", splits.validation)):
        if not rows:
            raise SoftPromptError(f"task {task.name!r} has no {name} rows: give data with more rows, or lower shots")
