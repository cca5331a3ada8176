"""One fit: it starts at its first step, or goes on from its last checkpoint."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import torch

from softprompt.backbones.sharding import is_split
from softprompt.readouts import Item
from softprompt.readouts.head import Head
from softprompt.sites.kept_room import Room
from softprompt.sites.kept_texts import KeptTexts
from softprompt.training.fitting import checkpoint
from softprompt.training.fitting.frozen_states import (
    PooledItem,
    keep_pooled,
    keep_states_below,
    keep_texts,
    stand_behind,
)
from softprompt.training.fitting.kept_files import room_of
from softprompt.training.fitting.memory import layers_run_again
from softprompt.training.fitting.record import load_extra
from softprompt.training.fitting.stage_spec import FittedStage, Stage
from softprompt.training.fitting.trainer import OnStep, SoftPromptTrainer

TRAINING = "training"  # the work that takes the steps, as progress shows it


def fit_stage(
    stage: Stage, trainer: type[SoftPromptTrainer], prepare: Callable[[Stage, bool], Stage] | None = None
) -> FittedStage:
    """Train a stage from its first step or its last checkpoint; one that is finished is read.

    Args:
        stage: what it is made of.
        trainer: that takes its steps.
        prepare: makes the stage ready, told whether it begins; by default `prepared`.
    """
    last = checkpoint.latest(stage.folder, stage.show.say)
    if last is not None and (extra := load_extra(last))["finished"]:
        checkpoint.load_random(last)
        return FittedStage(checkpoint.step_of(last), checkpoint.load_best(last), extra)
    if stage.name is not None:
        stage.show.say(f"stage {stage.name}")
    ready = (prepare or prepared)(stage, last is None)
    with nullcontext() if ready.texts is None else ready.trained.prompted.keeping_texts(ready.texts):
        done = _train(ready, trainer, last)
    return FittedStage(done.state.global_step, done.selection.state, done.extra())


def prepared(stage: Stage, begins: bool) -> Stage:
    """The stage with a head on the scale of its features, and with what of its rows need be computed but once."""
    items: list[Sequence[Item]] = [stage.items, stage.validation]
    readout, prompts = stage.trained.readout, stage.trained.prompted.prompts
    if isinstance(readout, Head):
        trains = any(p.requires_grad for p in prompts.parameters())
        keep = not trains and not stage.options.dropout and readout.fits(items)
        rows = items if keep else [readout.scaled_on(items[0])]
        room = room_of(stage.run, stage.trained.prompted) if keep else Room()  # a prompt that trains is looked at once
        kept = _features(stage, readout, rows, room)
        # A head that was trained before keeps the scale that it was trained on.
        if begins and not bool(readout.linear.weight.any()):
            readout.standardise(torch.cat([item.features for item in kept[0]]))
        if keep:
            items = [list(rows) for rows in kept]
    texts = _texts(stage, items)
    if texts is None or not len(texts):
        items = _begun(stage, *items)
    return replace(stage, items=items[0], validation=items[1], texts=texts)


def _train(stage: Stage, trainer: type[SoftPromptTrainer], resumed: Path | None) -> SoftPromptTrainer:
    """Train until the last step, until nothing gets better, or until the run is asked to stop."""
    again = layers_run_again(stage, trainer.passes(stage))
    with stage.show.work(TRAINING, 0, "steps") as tick:
        fitting = trainer(stage, _telling(tick))
        if again:
            stage.trained.prompted.activation_checkpointing_enable()
        try:
            fitting.train(resume_from_checkpoint=None if resumed is None else str(resumed))
        finally:
            if again:
                stage.trained.prompted.activation_checkpointing_disable()
    _tell_early(stage, fitting)
    return fitting


def _tell_early(stage: Stage, fitting: SoftPromptTrainer) -> None:
    """Say it where the training ended before its last step because nothing got better."""
    state, best = fitting.state, fitting.selection
    if best.stale >= stage.options.patience and state.global_step < state.max_steps:
        stage.show.say(
            f"stopped early at {state.global_step} of {state.max_steps} steps: {best.stale} evaluations without a "
            f"better one than that of step {best.step}, which is kept"
        )


def _begun(stage: Stage, items: Sequence[Item], validation: Sequence[Item]) -> list[Sequence[Item]]:
    """Training and validation rows with the states that enter the first layer that the prompt touches.

    Those of the training rows only where they come again, and none where the forward pass differs from time to time.
    """
    prompted, options = stage.trained.prompted, stage.options
    found = [items, validation]
    if not prompted.first_layer or options.dropout or options.gradient_checkpointing:
        return found
    again = _come_again(stage, items)
    room, size = room_of(stage.run, prompted), options.eval_batch_size
    for place, train in enumerate((True, False)):
        if train and not again:
            continue
        own = found[place]
        with stage.show.work("states below the prompt, computed once", len(own), "rows") as tick:
            kept = keep_states_below(
                prompted, stage.trained.readout, own, train=train, batch_size=size, room=room, tick=tick
            )
        if kept is not None:
            found[place] = kept
    return found


def _texts(stage: Stage, items: Sequence[Sequence[Item]]) -> KeptTexts | None:
    """What the texts of training and validation rows come to; None where what is trained reaches them.

    As with states below a prompt; a training row that does not come again is run in its step.
    """
    prompted, options = stage.trained.prompted, stage.options
    if options.dropout or options.gradient_checkpointing or is_split(prompted.backbone):
        return None
    if isinstance(items[0][0], PooledItem) or not (prompted.leaves_encoder or stand_behind(items[0])):
        return None
    kept, size = KeptTexts(room_of(stage.run, prompted)), options.eval_batch_size
    for rows, train in zip(items, (True, False), strict=True):
        if train and not _come_again(stage, rows):
            continue
        with stage.show.work("texts that no prompt reaches, computed once", len(rows), "rows") as tick:
            keep_texts(prompted, stage.trained.readout, rows, kept, train=train, batch_size=size, tick=tick)
    return kept


def _come_again(stage: Stage, rows: Sequence[Item]) -> bool:
    """Whether training rows are trained on more than once."""
    taken = (stage.options.max_steps or math.inf) * stage.plan.batch_size * stage.options.accumulate
    return min(taken, stage.plan.epochs * len(rows)) >= 2 * len(rows)


def _telling(tick: Callable[..., None]) -> OnStep:
    done = {"steps": 0}

    def on_step(step: int, steps: int, note: str | None) -> None:
        tick(step - done["steps"], note=note, total=steps)
        done["steps"] = step

    return on_step


def _features(stage: Stage, head: Head, items: list[Sequence[Item]], room: Room) -> list[list[PooledItem]]:
    """The rows with their pooled states; a row that comes again, as in a search's schedule, is computed once."""
    prompted = stage.trained.prompted
    distinct = [list({id(item): item for item in rows}.values()) for rows in items]
    with stage.show.work(
        "states of the frozen model, computed once", sum(len(rows) for rows in distinct), "rows"
    ) as tick:
        size = stage.options.eval_batch_size
        kept = [keep_pooled(prompted, head, rows, batch_size=size, room=room, tick=tick) for rows in distinct]
    pairs = zip(itertools.chain(*distinct), itertools.chain(*kept), strict=True)
    found = {id(item): one for item, one in pairs}
    return [[found[id(item)] for item in rows] for rows in items]
