"""A prompt before its first step: what a training would begin with, to be asked and scored as it is.

A hard prompt is zero-shot use of a template. CaPT starts at p = 0, so that S is the mean of the instance alone: "Insta-
only-1", table S4 of its paper. Everything is settled as `softprompt.training.run.train` does it, but there are no rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from softprompt.attached.attach import build
from softprompt.backbones.backbone import Backbone, takes_backbone
from softprompt.errors import SoftPromptError
from softprompt.files.places import folder_of
from softprompt.guards.kinds import check_kind
from softprompt.methods.base import Method
from softprompt.methods.baselines import HardPrompt
from softprompt.methods.parts.layers import OverLayers
from softprompt.methods.registry import method_given
from softprompt.methods.soft_words import SoftWords
from softprompt.readouts import ReadoutSpec, build_readout
from softprompt.readouts.settled import settled
from softprompt.storage.prompt import Prompt
from softprompt.storage.seen import seen_of
from softprompt.tasks import Splits, Task
from softprompt.tasks.row_hash import fields_read
from softprompt.tasks.seen import SeenRows
from softprompt.training.named_patterns import words_alone
from softprompt.training.options import LONG, TrainingOptions, training_options
from softprompt.training.process import whole_seed
from softprompt.training.setup import completed, readout_spec


@takes_backbone
def untrained(
    model: Backbone,
    /,
    task: Task,
    method: Method | str,
    options: TrainingOptions | None = None,
    *,
    seed: int = 13,
    **named: Any,
) -> Prompt:
    """The prompt that a training would begin with.

    Args:
        model: a `Backbone`, as `load_backbone` gives it, or any transformers model and then its tokenizer.
        task: it needs no data.
        method: a method, or its name.
        options: of training; those of the readout and of the rows' length have a part.
        seed: of the first values that are drawn.
        **named: single options by their names; none that `options` gives, too.

    Raises:
        SoftPromptError: there is nothing to ask before a training: the answers would be read by a head that nothing
            has trained, or the method searches before it trains.

    Example:
        >>> prompt = sp.untrained(model, tokenizer, task, "hard_prompt")
        >>> sp.evaluate(prompt, task.splits().test)["rows"]
        4
    """
    check_kind("untrained", "task", task, Task)
    own, seed = method_given("untrained", method), whole_seed(seed)
    check_untrained(own)
    own, chosen, _ = completed(model, task, own, training_options(named, options), rows=0)
    if isinstance(own, SoftWords) and not own.prompts:
        own = own.model_copy(update={"prompts": (words_alone(task, model),)})
    if chosen.init_from is not None:
        raise SoftPromptError("init_from names a prompt that is trained: load and evaluate that one")
    spec = settled(readout_spec(model.model, task, own, chosen), task, model)
    if chosen.max_length is None:  # no row is known
        spec = spec.model_copy(update={"max_length": LONG})
    _check_readout(spec, task, own)
    producer = build(model, own, label_words=task.label_words(model.is_encoder_decoder), seed=seed)
    readout = build_readout(task, model, producer, spec)
    meta = {"backbone_name": model.name, "seed": seed}
    return Prompt(own, producer, task, readout, spec, model.fingerprint, *model, meta, seen_by_none(task, own, seed))


def is_drawn(prompt: Prompt) -> bool:
    """Whether the values of an untrained prompt are drawn at random, so that another seed gives another prompt."""
    backbone, seed = prompt.backbone, int(prompt.meta["seed"]) + 1
    words = () if prompt.task is None else prompt.task.label_words(backbone.is_encoder_decoder)
    own, other = prompt.producer.stored(), build(backbone, prompt.method, label_words=words, seed=seed).stored()
    # Copies of the model's weights are filled in when a prompt is attached: they are nobody's draw.
    return any(not torch.equal(own[name], value) for name, value in other.items())


def check_untrained(method: Method) -> None:
    """Raise `SoftPromptError` where a method looks at rows before its first step."""
    name = method.name
    if isinstance(method, HardPrompt) and method.in_use() != {"calibration": "none"}:
        raise SoftPromptError(
            f"method {name!r}: templates are compared and scores calibrated on rows: leave templates and calibration "
            "out, or train it"
        )
    searches = isinstance(method, OverLayers) and not method.selection.settled
    if searches or not (isinstance(method, (HardPrompt, OverLayers)) or method.course in ("fit", "mixture")):
        raise SoftPromptError(
            f"method {name!r} with these options searches before it trains, so that it has no state to ask without a "
            "training: train it"
        )


def seen_by_none(task: Task, method: Method, seed: int) -> SeenRows:
    """What an untrained prompt has seen: nothing but what a saved prompt that it starts from had."""
    fields = fields_read((task.template, *task.templates.values()))
    starts = [seen_of(folder_of(Path(place))) for place in method.starts()]
    return SeenRows.of(Splits([], [], [], "untrained", seed), fields, starts)


def _check_readout(spec: ReadoutSpec, task: Task, method: Method) -> None:
    if spec.name == "head" or (spec.name == "rows" and task.kind == "regression"):
        raise SoftPromptError(
            f"method {method.name!r} with readout {spec.name!r} answers by a linear head, which nothing has trained: "
            "train it, or take a backbone with a language-model head"
        )
