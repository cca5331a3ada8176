"""A run: a task, a backbone and a method, from rows to a stored prompt and its metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from softprompt.attaching import attach
from softprompt.errors import SoftPromptError
from softprompt.evaluation.evaluate import metrics_of
from softprompt.fingerprint import fingerprint
from softprompt.methods.base import Method
from softprompt.methods.registry import checked
from softprompt.methods.registry import method as method_of
from softprompt.progress import Progress
from softprompt.prompted import PromptedModel
from softprompt.sites.anatomy import read_anatomy
from softprompt.sites.producer import Producer
from softprompt.storage.prompt import TENSORS, Prompt, load, save
from softprompt.storage.tensors import read_json, write_json
from softprompt.tasks import Splits, Task
from softprompt.tasks.readouts import Item, Readout
from softprompt.tasks.readouts.head import Head
from softprompt.training import checkpoint
from softprompt.training.caching import keep_features
from softprompt.training.claim import METRICS, claim, identity_of
from softprompt.training.measure import peak_memory, reset_peak, versions
from softprompt.training.options import Plan, TrainingOptions, plan
from softprompt.training.process import reproducible, stop_signal
from softprompt.training.setup import build_readout, counts, readout_wishes
from softprompt.training.trainer import SoftPromptTrainer, TaskModel

PROMPT, STATE = "prompt", "state"


class Interrupted(SoftPromptError):
    """A run that was asked to stop and wrote its training state."""


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
        SoftPromptError: a fault in the task, its rows or the options, or a folder that holds another run.
        Interrupted: SIGINT or SIGTERM came; the training state is written, and `resume=True` goes on.
    """
    chosen: TrainingOptions = checked(TrainingOptions, options, "training")
    method = method_of(method) if isinstance(method, str) else method
    folder = Path(output) if output is not None else Path("runs") / f"{task.name}-{method.name}-{seed}"
    show = progress if isinstance(progress, Progress) else Progress(progress)
    wishes = readout_wishes(model, task, method, chosen)
    identity = identity_of(model, task, method, chosen, wishes, seed, backbone)
    if claim(folder, identity, resume):
        show.say(f"{folder}: this run is finished already")
        return open_run(folder, model, tokenizer)
    with reproducible(seed, chosen.threads):
        return _train(model, tokenizer, task, method, chosen, wishes, seed, folder, identity, show)


def open_run(folder: str | Path, model: nn.Module, tokenizer: Any) -> Run:
    """A finished run from its folder.

    Raises:
        SoftPromptError: no finished run there, a damaged file, or another backbone.
    """
    path = Path(folder)
    return Run(path, read_json(path / METRICS), load(path / PROMPT, model, tokenizer))


def _train(
    model: nn.Module,
    tokenizer: Any,
    task: Task,
    method: Method,
    options: TrainingOptions,
    wishes: dict[str, Any],
    seed: int,
    folder: Path,
    identity: dict[str, Any],
    show: Progress,
) -> Run:
    splits = task.splits(seed)
    _check_splits(task, splits)
    anatomy = read_anatomy(model)
    words = task.label_words(anatomy.kind == "encoder-decoder")
    reset_peak()
    with attach(model, tokenizer, method, label_words=words, seed=seed, dropout=options.dropout) as prompted:
        producer = prompted.prompts[0]
        assert isinstance(producer, Producer)
        readout = build_readout(task, model, tokenizer, method, producer, wishes)
        used = plan(options, method.recipe(anatomy.family, anatomy.kind))
        items = [[readout.encode(row) for row in rows] for rows in (splits.train, splits.validation)]
        _tell(show, task, splits, items, folder)
        trained = TaskModel(prompted, readout)
        seconds, rows_seen, history = 0.0, 0, []
        if any(p.requires_grad for p in (*producer.parameters(), *readout.parameters())):
            trainer = _fit(trained, task, used, options, items, folder / STATE, seed, show)
            seconds, history = trainer.seconds(), trainer.history
            rows_seen = trainer.state.global_step * used.batch_size * options.accumulate
            trained.load_state_dict(trainer.selection.state)
        measured = {
            name: _measure(prompted, readout, task, rows, options, show, name)
            for name, rows in (("validation", splits.validation), ("test", splits.test))
        }
        memory = peak_memory()
    prompt = Prompt(
        method,
        producer,
        task,
        readout,
        wishes,
        fingerprint(model),
        model,
        tokenizer,
        {
            "backbone_name": identity["backbone"],
            "seed": seed,
            "versions": versions(),
            "metrics": measured["test"] or measured["validation"],
        },
    )
    save(prompt, folder / PROMPT)
    own, head = counts(producer, readout)
    metrics = {
        **{key: identity[key] for key in ("task", "method", "backbone", "seed")},
        "metric": task.metric,
        "test": measured["test"],
        "validation": measured["validation"],
        "trained_parameters": own + head,
        "trained_head_parameters": head,
        "stored_parameters": prompt.stored_parameters,
        "stored_bytes": (folder / PROMPT / TENSORS).stat().st_size,
        "train_seconds": round(seconds, 3),
        "rows_per_second": round(rows_seen / seconds, 3) if seconds else None,
        "peak_memory_bytes": memory,
        "versions": versions(),
        "protocol": splits.protocol,
        "readout": wishes,
        "options": {"method": method.model_dump(mode="json"), "training": used.model_dump(mode="json")},
        "history": history,
    }
    write_json(folder / METRICS, metrics)
    return Run(folder, metrics, prompt)


def _fit(
    trained: TaskModel,
    task: Task,
    used: Plan,
    options: TrainingOptions,
    items: list[list[Item]],
    state: Path,
    seed: int,
    show: Progress,
) -> SoftPromptTrainer:
    prompted, readout = trained.prompted, trained.readout
    resumed = checkpoint.latest(state)
    if isinstance(readout, Head):
        kept = _features(prompted, readout, items, options, show)
        if resumed is None:
            readout.standardise(torch.cat([item.features for item in kept[0]]))
        if not any(p.requires_grad for p in prompted.prompts.parameters()):
            items = [list(rows) for rows in kept]
    if options.gradient_checkpointing:
        prompted.backbone.activation_checkpointing_enable()  # type: ignore[operator]
    with stop_signal() as stop, show.work("training", 0, "steps") as tick:
        done = {"steps": 0}

        def on_step(step: int, steps: int, metrics: dict[str, Any] | None) -> None:
            note = None
            if metrics is not None:
                note = f"{task.metric} {metrics[task.metric]:.3f}, loss {metrics['loss']:.3f}"
            tick(step - done["steps"], note=note, total=steps)
            done["steps"] = step

        trainer = SoftPromptTrainer(
            trained, used, options, task, items[0], items[1], state, seed, on_step, lambda: stop["asked"]
        )
        try:
            trainer.train(resume_from_checkpoint=None if resumed is None else str(resumed))
        finally:
            if options.gradient_checkpointing:
                prompted.backbone.activation_checkpointing_disable()  # type: ignore[operator]
    if stop["asked"]:
        raise Interrupted(
            f"stopped at step {trainer.state.global_step}; {state} holds the state: resume goes on from it"
        )
    return trainer


def _features(
    prompted: PromptedModel, head: Head, items: list[list[Item]], options: TrainingOptions, show: Progress
) -> list[Any]:
    trainable = any(p.requires_grad for p in prompted.prompts.parameters())
    wanted = items[:1] if trainable else items
    with show.work("frozen states", sum(len(rows) for rows in wanted), "rows") as tick:
        return [keep_features(prompted, head, rows, batch_size=options.eval_batch_size, tick=tick) for rows in wanted]


def _measure(
    prompted: PromptedModel,
    readout: Readout,
    task: Task,
    rows: Sequence[Any],
    options: TrainingOptions,
    show: Progress,
    name: str,
) -> dict[str, Any]:
    if not rows:
        return {}
    with show.work(name, len(rows), "rows") as tick:
        return metrics_of(prompted, readout, task, rows, batch_size=options.eval_batch_size, tick=tick)


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


def _check_splits(task: Task, splits: Splits) -> None:
    for name, rows in (("training", splits.train), ("validation", splits.validation)):
        if not rows:
            raise SoftPromptError(f"task {task.name!r} has no {name} rows: give data with more rows, or lower shots")
