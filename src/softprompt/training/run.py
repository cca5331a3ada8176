"""A run: a task, a backbone and a method, from rows to a stored prompt and its metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

from torch import nn
from transformers import PreTrainedTokenizerBase

from softprompt.attached.answering import Returned
from softprompt.attached.attach import attach
from softprompt.attached.model import PromptedModel
from softprompt.backbones.backbone import MISSING, Backbone, Missing, backbone_of, takes_backbone
from softprompt.backbones.packed import check_gradient
from softprompt.backbones.sharding import shard
from softprompt.errors import Interrupted
from softprompt.evaluation.breakdown import Breakdown
from softprompt.files.places import METRICS
from softprompt.guards.paths import path_of
from softprompt.guards.summaries import Summarised, Summary
from softprompt.methods.base import Method
from softprompt.presets.definition import UsedPreset
from softprompt.progress import Progress
from softprompt.ranks import here, joined
from softprompt.readouts.cut import told_cuts
from softprompt.readouts.head import Head
from softprompt.readouts.settled import told_end
from softprompt.storage.prompt import Prompt, load, save
from softprompt.tasks import Task
from softprompt.training.begun import begun_of
from softprompt.training.courses.work import Work
from softprompt.training.divergence import kept
from softprompt.training.finished import RunMetrics, damage, read_metrics
from softprompt.training.fitting.kept_files import forget_kept
from softprompt.training.measure import peak_memory, reset_peak, versions
from softprompt.training.options import TrainingOptions, training_options
from softprompt.training.process import alone, reproducible, stop_signal, whole_seed
from softprompt.training.ranked import check_ranks, claimed
from softprompt.training.results import (
    measured_splits,
    metrics_of_run,
    prompt_of,
    rows_in_input,
    seen_at_start,
    seen_rows,
    taught,
)
from softprompt.training.run_folder import check_same
from softprompt.training.setup import PROMPT, STATE, RunSpec, too_few
from softprompt.training.specified import WantedRun, specified
from softprompt.training.warm_start import check_starts, start_from

__all__ = ["Interrupted", "Run", "open_run", "train"]


@dataclass(repr=False)
class Run(Summarised):
    """A finished run.

    Attributes:
        folder: where its files are.
        record: what it tells of itself.
        prompt: the trained prompt.
    """

    folder: Path
    record: RunMetrics
    prompt: Prompt

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """What `metrics.json` holds: `record` as plain values, which are JSON whatever a course reports."""
        return self.record.document()

    def summary(self) -> Summary:
        """What a notebook shows of it."""
        told = self.record.summary()
        return Summary(told.title, [*told.facts, ("folder", str(self.folder))])

    @property
    def report(self) -> Breakdown | None:
        """What stands behind the score of the test rows: each class's own, the confusion, the majority's, the worst.

        None of a run of an earlier version.

        Example:
            >>> run = sp.open_run("runs/first", model, tokenizer)
            >>> run.report is None or len(run.report.worst) <= 3
            True
        """
        return self.record.breakdown

    def predict(self, texts: Sequence[Any], *, batch_size: int = 32, returns: Returned = "labels") -> list[Any]:
        """The label of each text, its word or the probabilities of all; see `Prompt.predict`."""
        return self.prompt.predict(texts, batch_size=batch_size, returns=returns)


@takes_backbone
@alone()
def train(
    model: Backbone,
    /,
    task: Task,
    method: Method | str | None = None,
    options: TrainingOptions | None = None,
    *,
    seed: int = 13,
    output: str | Path | None = None,
    resume: bool = False,
    preset: str | Path | UsedPreset | None = None,
    progress: bool | Progress = True,
    backbone: str | None = None,
    **named: Any,
) -> Run:
    """Train a method on a task over a frozen model, measure it and store it.

    Args:
        model: a `Backbone`, as `load_backbone` gives it, or any transformers model and then its tokenizer.
        task: with its data.
        method: a method, or its name; by default what did best on such backbones (`softprompt.methods.default`).
        options: of training.
        seed: of the split, the prompt's first values and the order of rows.
        output: the run's folder; by default `runs/<task>-<method>-<seed>`.
        resume: go on with the run that the folder holds.
        preset: a paper's settings, by name or a YAML file; what is given beside it wins and is told
            (`softprompt.presets`). What a run recorded is kept as its record, and sets nothing.
        progress: whether to show progress, or where.
        backbone: the backbone's name for the records, where it shall have another than its own.
        **named: single ones of them by their names, such as `max_steps=100`; none that `options` gives, too.

    Returns:
        The run. The same arguments on the same machine give the same bytes in `prompt.safetensors`, resumed or not.

    Raises:
        SoftPromptError: a fault in the task, its rows or the options, a folder that holds another run, or a training
            in another thread of the process.
        Diverged: the loss did not stay finite (`softprompt.training.divergence`). The best finite state was measured
            and stored before, where there was one: `open_run` opens it.
        Interrupted: SIGINT or SIGTERM came; the training state is written, and `resume=True` goes on.

    Example:
        >>> run = sp.train(model, tokenizer, task, "prompt_tuning", output="runs/new", max_steps=2, progress=False)
        >>> (run.folder / "prompt" / "prompt.safetensors").is_file()
        True
    """
    with joined() as ranks:
        show = progress if isinstance(progress, Progress) else Progress(progress)
        own = show if ranks.leads else Progress(shown=False)

        def settled() -> RunSpec:
            chosen = training_options(named, options)
            wanted = WantedRun(task, method, chosen, whole_seed(seed), output, resume, preset)
            return specified(model.named(backbone), wanted, own)

        run = ranks.together(settled)
        check_ranks(run)
        with claimed(run, resume, begun_of(run.backbone, run.task)) as done:
            return _begun(run) if done else _trained(run)


def _begun(run: RunSpec) -> Run:
    """The finished run of the folder, or made again from its state where it is damaged."""
    ranks = here()
    damaged = ranks.first(lambda: damage(run.folder / METRICS, run.folder / PROMPT))
    if damaged is None:
        return _finished(run)
    ranks.first(lambda: check_same(run.folder, run.identity, finished=False))
    run.show.say(f"{damaged}; made again from {run.folder / STATE}")
    return _trained(run)


def _trained(run: RunSpec) -> Run:
    with reproducible(run.splits.seed, run.options.threads):
        return _train(run)


@overload
def open_run(folder: str | Path, model: Backbone) -> Run: ...


@overload
def open_run(folder: str | Path, model: nn.Module, tokenizer: PreTrainedTokenizerBase | None) -> Run: ...


def open_run(
    folder: str | Path, model: nn.Module | Backbone, tokenizer: PreTrainedTokenizerBase | Missing | None = MISSING
) -> Run:
    """A finished run from its folder, for a `Backbone`, or for a model and its tokenizer.

    Raises:
        SoftPromptError: no finished run there, a damaged file, or another backbone.

    Example:
        >>> sp.open_run("runs/first", model, tokenizer).metrics["test"]["rows"]
        4
    """
    backbone, path = backbone_of("open_run", model, tokenizer), path_of(folder, "run")
    return Run(path, read_metrics(path / METRICS), load(path / PROMPT, backbone))


def _finished(run: RunSpec) -> Run:
    """A run that needs nothing more; one that diverged says so again."""
    done = open_run(run.folder, run.backbone)
    if done.record.diverged is not None:
        raise kept(done.record.diverged, run.folder / PROMPT)
    run.show.say(f"{run.folder}: this run is finished already{_other_versions(done.record.versions)}")
    return done


def _train(run: RunSpec) -> Run:
    """Run the course; measure what it leaves, and store it."""
    device, starts = run.backbone.device, seen_at_start(run)
    reset_peak(device)
    words = run.task.label_words(run.backbone.is_encoder_decoder)
    dropout = run.options.dropout
    with attach(run.backbone, run.method, label_words=words, seed=run.splits.seed, dropout=dropout) as made:
        check_starts(run.method, run.backbone)
        if run.method.trains():
            check_gradient(run.backbone.model, run.backbone.dtype)
        if run.options.init_from is not None:
            start_from(made, run.method, run.options.init_from)
        with stop_signal() as stop:
            work = work_of(run, made, lambda: stop["asked"])
            if run.options.shard:
                _shard(run, work)
            _tell(run, work)
            start = rows_in_input(work)
            diverged, judged = taught(work)
        seen = seen_rows(run, work, starts)
        measured = measured_splits(run, work, seen, judged)
        memory = peak_memory(device)
    prompt = prompt_of(run, work, measured, seen, start)

    def write() -> None:
        save(prompt, run.folder / PROMPT)
        metrics = metrics_of_run(run, work, prompt, measured, memory=memory, diverged=diverged)
        measured.write_predictions(run.folder)
        metrics.write(run.folder / METRICS)
        forget_kept(run.folder)

    here().first(write)
    metrics = read_metrics(run.folder / METRICS)
    if diverged is not None:
        raise kept(diverged, run.folder / PROMPT)
    return Run(run.folder, metrics, prompt)


def _shard(run: RunSpec, work: Work) -> None:
    """Split the backbone over the ranks, once all that reads whole weights has; memory is counted from here."""
    _ = run.fingerprint  # of whole weights; the run keeps it
    made = work.prompted
    head = isinstance(work.readout, Head)
    shard(made.backbone, made.anatomy, called=made.anatomy.body if head else made.backbone)
    reset_peak(run.backbone.device)


def work_of(run: RunSpec, prompted: PromptedModel, stopping: Callable[[], bool] = lambda: False) -> Work:
    """What a course works with."""
    return Work(
        prompted=prompted,
        task=run.task,
        method=run.method,
        rows=run.splits.train,
        validation_rows=run.splits.validation,
        plan=run.plan,
        options=run.options,
        readout_spec=run.readout_spec,
        state=run.folder / STATE,
        seed=run.splits.seed,
        show=run.show,
        stopping=stopping,
    )


def _tell(run: RunSpec, work: Work) -> None:
    splits = run.splits
    run.show.say(
        f"{run.task.name}: {len(splits.train)} training, {len(splits.validation)} validation, {len(splits.test)} test "
        f"rows ({splits.protocol}); files go to {run.folder}"
    )
    for note in splits.notes:
        run.show.say(f"  note: {note}")
    items, rows = [*work.items, *work.validation], "training and validation rows"
    ends = told_end(items, run.task, rows, seq2seq=run.backbone.is_encoder_decoder)
    for line in (*run.told, *too_few(run.task, run.splits), *ends, *told_cuts(items, run.readout_spec, rows)):
        run.show.say(f"  {line}")


def _other_versions(before: dict[str, str]) -> str:
    """What a finished run was computed with, where that is not what is installed now."""
    now = versions()
    then = [f"{name} {one} ({now.get(name)} here)" for name, one in before.items() if now.get(name) != one]
    return f" (with {', '.join(then)})" if then else ""
