"""What a cell will cost here, from a step and an answer that are measured on this machine.

seconds = to begin + steps x (a step: forward, backward) + answered rows x (a row answered). The validation rows are
answered at each evaluation and in the end, the test rows in the end. An early stop makes it less. A course of several
fits makes it more, and so does a round's own work in one that searches: of these it is a lower bound.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict

from softprompt.attached.attach import attach
from softprompt.backbones.backbone import Backbone
from softprompt.backbones.resting import device_of
from softprompt.compare.cells import Cell, wanted_run
from softprompt.inference.batches import batches
from softprompt.progress import Progress
from softprompt.readouts import Item
from softprompt.readouts.head import Head
from softprompt.tasks import Task
from softprompt.training.courses.work import Work
from softprompt.training.measure import peak_memory, reset_peak
from softprompt.training.process import reproducible
from softprompt.training.run import work_of
from softprompt.training.setup import RunSpec
from softprompt.training.specified import specified

_STEPS = 2  # that are measured, after one that is not
_ROWS = 64  # of a split that are looked at
_FITS = ("fit", "layers")  # courses that are one fit, or one with a search in it


class Outlook(BaseModel):
    """What a cell is expected to cost.

    Attributes:
        begin_seconds: until its first step: reading, encoding and attaching.
        steps: it takes where nothing stops it early.
        step_seconds: of one step; 0 where nothing is trained inside the model.
        row_seconds: of one answered row.
        seconds: in all.
        memory: of its process at the most, bytes; on a GPU what is allocated there.
        least: `seconds` is a lower bound.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    begin_seconds: float
    steps: int
    step_seconds: float
    row_seconds: float
    seconds: float
    memory: int
    least: bool


class Paces(NamedTuple):
    """What was measured of a run: seconds to begin, of a step and of an answered row, and the process's memory."""

    begin: float
    step: float
    row: float
    memory: int


def outlook(cell: Cell, backbone: Backbone, task: Task) -> Outlook:
    """Measure a cell that is not begun; nothing is kept.

    Raises:
        SoftPromptError: the cell cannot be: the backbone cannot serve the method, say.
    """
    started = time.monotonic()
    run = specified(backbone, wanted_run(cell, task), Progress(False))
    return expected(run, paces(run, started))


def paces(run: RunSpec, started: float) -> Paces:
    """Take a few steps of a run and answer some of its rows.

    Args:
        run: that is settled, and not begun.
        started: when that was begun, on the monotonic clock.

    Raises:
        SoftPromptError: the backbone cannot serve the method, or the readout.
    """
    backbone, task = run.backbone, run.task
    few = replace(run.splits, train=run.splits.train[:_ROWS], validation=run.splits.validation[:_ROWS], test=[])
    words, device = task.label_words(backbone.is_encoder_decoder), backbone.device
    reset_peak(device)
    with (
        TemporaryDirectory() as beside,
        reproducible(run.splits.seed, run.options.threads),
        attach(backbone, run.method, label_words=words, seed=run.splits.seed) as made,
    ):
        work = work_of(replace(run, splits=few, folder=Path(beside)), made)
        begin = time.monotonic() - started
        step = _step_seconds(work) if _trains_inside(work) else 0.0
        begun = time.monotonic()
        work.measure()
        row = (time.monotonic() - begun) / len(few.validation)
    return Paces(begin, step, row, peak_memory(device))


def expected(run: RunSpec, found: Paces) -> Outlook:
    """What a run costs at such paces, its own or those of one that has other rows."""
    begin, step, row, memory = found
    options, splits, trains = run.options, run.splits, run.method.trains()
    rounds = math.ceil(len(splits.train) / (run.plan.batch_size * options.accumulate)) * run.plan.epochs
    steps = (options.max_steps or rounds) if trains or run.readout_spec.name == "head" else 0
    again = min(options.evaluations, steps) if step else 0  # else states are computed once
    rows = (again + 1) * len(splits.validation) + len(splits.test) + (0 if step else len(splits.train))
    seconds = begin + steps * options.accumulate * step + rows * row
    return Outlook(
        begin_seconds=begin,
        steps=steps,
        step_seconds=step,
        row_seconds=row,
        seconds=seconds,
        memory=memory,
        least=run.method.course not in _FITS,
    )


def _trains_inside(work: Work) -> bool:
    """Whether a step goes through the backbone: a head alone is trained on states that are computed once."""
    prompt = any(one.requires_grad for one in work.producer.parameters())
    return prompt or (work.trains() and not isinstance(work.readout, Head))


def _step_seconds(work: Work) -> float:
    """Seconds of one step's forward and backward pass; the first is not counted, in which memory is found."""
    size = min(work.plan.batch_size, _ROWS)
    items: Sequence[Item] = (work.items * math.ceil((_STEPS + 1) * size / len(work.items)))[: (_STEPS + 1) * size]
    collate = partial(work.readout.collate, train=True)
    begun = 0.0
    for place, (_, batch) in enumerate(batches(items, collate, size, work.prompted, in_order=True)):
        if place == 1:
            begun = _once_done(work)
        work.trained(batch).backward()
    seconds = _once_done(work) - begun
    work.trained.zero_grad()
    return seconds / _STEPS * work.plan.batch_size / size


def _once_done(work: Work) -> float:
    """The time once the device has done what it was given: a GPU is handed a step in less time than it takes."""
    device = device_of(work.prompted.backbone)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic()
