"""What a course leaves, measured on the splits: the prompt that is stored, and the run's metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, cast

from pydantic import JsonValue
from torch import Tensor

from softprompt.backbones.source import name_alone
from softprompt.backbones.tunable import Tunable
from softprompt.evaluation.breakdown import Breakdown, breakdown
from softprompt.evaluation.predictions import PREDICTIONS, Predictions
from softprompt.evaluation.score import Scores, scored
from softprompt.files import strict_json
from softprompt.files.places import METRICS, TENSORS, folder_of
from softprompt.readouts import Outcome
from softprompt.readouts.cut import told_cuts
from softprompt.storage.prompt import Prompt
from softprompt.storage.record import Measured, carried
from softprompt.storage.seen import seen_of
from softprompt.storage.vectors import input_rows
from softprompt.tasks import Row
from softprompt.tasks.row_hash import fields_read
from softprompt.tasks.seen import SeenRows
from softprompt.training import courses
from softprompt.training.courses.work import Work
from softprompt.training.divergence import Diverged, NotFinite
from softprompt.training.finished import SCHEMA, RunMetrics
from softprompt.training.fitting.best import proved
from softprompt.training.fitting.kept_files import sharing_features
from softprompt.training.identity import starts_of
from softprompt.training.measure import versions
from softprompt.training.setup import PROMPT, RunSpec


class MeasuredSplits(NamedTuple):
    """The metrics of the rows that a run chose by, and of those that it kept apart; each may be empty.

    Attributes:
        validation: of the first.
        test: of the others.
        breakdown: what stands behind the score of the others, or of the first where there are no others.
        predictions: the answers to the others; None where there are none.
    """

    validation: Measured
    test: Measured
    breakdown: Breakdown | None
    predictions: Predictions | None

    def write_predictions(self, folder: Path) -> None:
        """Write the answers to the test rows into a run's folder."""
        if self.predictions is not None:
            self.predictions.write(folder / PREDICTIONS)


class Taught(NamedTuple):
    """How a course ended.

    Attributes:
        diverged: how it diverged, where it did and left a state that can be stored.
        validation: the scores of the validation rows that it ended with, where it told them.
    """

    diverged: NotFinite | None
    validation: Scores | None


def taught(work: Work) -> Taught:
    """Run the course.

    Raises:
        Diverged: it left no state.
    """
    try:
        return Taught(None, courses.of(work.method.course)(work))
    except Diverged as error:
        if not error.kept:
            raise
        return Taught(error.fault, None)


def seen_at_start(run: RunSpec) -> list[SeenRows]:
    """The rows of the prompts that a run starts from."""
    return [seen_of(folder_of(Path(place))) for place in starts_of(run.method, run.options)]


def seen_rows(run: RunSpec, work: Work, starts: Sequence[SeenRows]) -> SeenRows:
    """The rows that a prompt was trained and chosen on, those of the prompts that it started from among them."""
    # The fields that stand in the templates of the prompt as it was trained in the end.
    own = (work.task.template, *work.task.templates.values())
    fields = fields_read((*own, *(template for template, _ in work.producer.pool)))
    return SeenRows.of(run.splits, fields, starts)


def measured_splits(run: RunSpec, work: Work, seen: SeenRows, judged: Scores | None = None) -> MeasuredSplits:
    """The metrics of both splits, and how many of their rows were seen.

    Args:
        run: what it is made of.
        work: as its course left it.
        seen: the rows that it was trained and chosen on.
        judged: the scores of the validation rows, where the course ended with them: beside test rows nothing more is
            asked of their answers.

    Raises:
        SoftPromptError: they are not finite.
    """
    trained, rows, behind = replace(seen, validation=frozenset()), run.splits.validation, None
    if judged and run.splits.test:
        validation = _told(work, rows, "validation", trained, judged)
    else:
        validation, behind, _ = _measured(work, rows, "validation", trained)
    test, of_test, outcomes = _measured(work, run.splits.test, "test", seen)
    answers = Predictions.of(work.task, run.splits.test, outcomes) if outcomes else None
    return MeasuredSplits(validation, test, of_test or behind, answers)


def _measured(
    work: Work, rows: Sequence[Row], name: str, seen: SeenRows
) -> tuple[Measured, Breakdown | None, Sequence[Outcome]]:
    """Of a split, answered once; a published file may hold a text in two."""
    if not rows:
        return Measured(), None, ()
    items = [work.readout.encode(row) for row in rows]
    if name == "test":  # what was cut of the others was told before the training
        for line in told_cuts(items, work.readout_spec, "test rows"):
            work.show.say(f"  {line}")
    with work.show.work(name, len(rows), "rows") as tick:
        size = work.options.eval_batch_size
        with sharing_features(work.prompted, work.readout):
            found = scored(work.prompted, work.readout, work.task, rows, batch_size=size, tick=tick, items=items)
    told = _told(work, rows, name, seen, found.scores)
    return told, breakdown(work.task, rows, found.outcomes, name), found.outcomes


def _told(work: Work, rows: Sequence[Row], name: str, seen: SeenRows, scores: Scores) -> Measured:
    """A split's scores, if they are finite, and how many of its rows were seen."""
    proved(scores, work.task.metric, name)
    known = seen.count(rows)
    if known:
        work.show.say(f"  note: {known} of the {len(rows)} {name} rows read like rows that it was trained or chosen on")
    return Measured.model_validate_json(strict_json.dumps({**scores, "seen_rows": known}))


def rows_in_input(work: Work) -> Tensor | None:
    """What stands in the input at the virtual tokens now, `(P, E)`; None where nothing of the prompt's own does."""
    return input_rows(work.producer, work.prompted.anatomy.embedding_size)


def _moved(start: Tensor | None, end: Tensor | None) -> list[float] | None:
    """How far each row moved; None where there are none, or others than in the beginning."""
    if start is None or end is None or start.shape != end.shape:
        return None
    distances: list[float] = (end - start).norm(dim=-1).tolist()
    return distances


def tunable_of(run: RunSpec, work: Work) -> Tunable:
    """The share of the backbone that the course trained, or the most of it where it trained several prompts."""
    own, head = work.trained_scalars
    return Tunable.of(own, head, run.fingerprint.num_parameters)


def prompt_of(run: RunSpec, work: Work, measured: MeasuredSplits, seen: SeenRows, start: Tensor | None) -> Prompt:
    """The trained prompt, with what its file tells of the run.

    Args:
        run: what it is made of.
        work: as its course left it.
        measured: of both splits.
        seen: the rows that it was trained and chosen on.
        start: what stood in the input before the first step; see `rows_in_input`.
    """
    figures = measured.test.figures() or measured.validation.figures()
    if measured.breakdown is not None and measured.breakdown.majority is not None:
        figures["majority"] = measured.breakdown.majority.score
    report = cast("dict[str, JsonValue]", work.report)  # whether it is JSON shows when it is written
    moved = _moved(start, rows_in_input(work))
    told = {
        "backbone_name": run.identity["backbone"],
        "seed": run.splits.seed,
        "versions": versions(),
        "metrics": figures,
        "tunable": tunable_of(run, work).model_dump(mode="json"),
        **({} if moved is None else {"moved": moved}),
        **run.preset.recorded(),
    }
    return Prompt(
        method=work.method,
        producer=work.producer,
        task=work.task,
        readout=work.readout,
        readout_spec=run.readout_spec,
        fingerprint=run.fingerprint,
        model=run.backbone.model,
        tokenizer=run.backbone.tokenizer,
        meta={**told, **carried(report)},
        seen=seen,
    )


def metrics_of_run(
    run: RunSpec, work: Work, prompt: Prompt, measured: MeasuredSplits, *, memory: int, diverged: NotFinite | None
) -> RunMetrics:
    """The metrics of a run whose prompt is stored.

    Args:
        run: what it is made of.
        work: as its course left it.
        prompt: that was stored.
        measured: of both splits.
        memory: its peak, bytes.
        diverged: what was not finite, where it diverged.

    Raises:
        SoftPromptError: a course reports what no JSON can hold.
    """
    own, head = work.trained_scalars
    values = {
        "schema_version": SCHEMA,
        **{key: run.identity[key] for key in ("task", "method", "seed", "dtype")},
        "backbone": name_alone(run.backbone.name),
        "metric": run.task.metric,
        "test": measured.test.figures(),
        "validation": measured.validation.figures(),
        "trained_parameters": own + head,
        "trained_head_parameters": head,
        "tunable": tunable_of(run, work).model_dump(mode="json"),
        "stored_parameters": prompt.stored_parameters,
        "stored_bytes": (run.folder / PROMPT / TENSORS).stat().st_size,
        "train_seconds": round(work.seconds, 3),
        "rows_per_second": round(work.rows_seen / work.seconds, 3) if work.rows_seen else None,
        "peak_memory_bytes": memory,
        "versions": versions(),
        "protocol": run.splits.protocol,
        "readout": run.readout_spec.model_dump(mode="json"),
        "options": {"method": run.method.model_dump(mode="json"), "training": work.plan.model_dump(mode="json")},
        "history": work.history,
        "course": {**work.readout.report(), **work.report},
    }
    values |= run.preset.recorded()
    if measured.breakdown is not None:
        values["breakdown"] = measured.breakdown.model_dump(mode="json")
    return RunMetrics.of(values if diverged is None else {**values, "diverged": diverged}, run.folder / METRICS)
