"""What is settled between a task, a backbone and a method before the first step."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from pydantic import JsonValue
from torch import nn

from softprompt.backbones.anatomy import Anatomy, read_anatomy
from softprompt.backbones.backbone import Backbone
from softprompt.backbones.fingerprint import Fingerprint
from softprompt.backbones.heads import has_lm_head, usual_pooling
from softprompt.backbones.pooled import told_pooling
from softprompt.errors import SoftPromptError, shortened
from softprompt.methods.base import Method
from softprompt.methods.default import STEPS, default_method, passes
from softprompt.methods.registry import checked
from softprompt.methods.registry import method as method_of
from softprompt.progress import Progress
from softprompt.readouts import ReadoutSpec
from softprompt.readouts.usable_words import why_no_words
from softprompt.tasks import Splits, Task
from softprompt.tasks.facts import FACT
from softprompt.tasks.in_place import IN_PLACE
from softprompt.tasks.values import listed
from softprompt.training.named_patterns import with_texts
from softprompt.training.options import SHORT, Plan, TrainingOptions
from softprompt.training.preset import Applied

PROMPT, STATE = "prompt", "state"
_FEW, _SHOWN = 3, 8  # training rows of a class that is warned of; classes that are named


@dataclass(frozen=True)
class RunSpec:
    """What a run is made of, settled before its first step.

    Attributes:
        backbone: the frozen model, under the name that the records have.
        task: with its data.
        method: of the prompt.
        options: the user's options of training.
        readout_spec: how the answers are read.
        splits: the rows.
        identity: what makes it this run; see `softprompt.training.identity`.
        folder: of its files.
        show: progress.
        plan: rates and schedule, nothing left open.
        told: what was chosen where the user left it open, a line each.
        preset: that it was made with, if any.
    """

    backbone: Backbone
    task: Task
    method: Method
    options: TrainingOptions
    readout_spec: ReadoutSpec
    splits: Splits
    identity: dict[str, JsonValue]
    folder: Path
    show: Progress
    plan: Plan
    told: tuple[str, ...]
    preset: Applied

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """Of the backbone; it is taken while its weights are whole."""
        return self.backbone.fingerprint


def readout_spec(model: nn.Module, task: Task, method: Method, options: TrainingOptions) -> ReadoutSpec:
    """The readout of a training, and the place that its head reads: the user's, the checkpoint's, else the method's.

    Raises:
        SoftPromptError: the method is used with a head only and another readout was asked for, or an option is out of
            bounds.
    """
    kind = read_anatomy(model).kind
    default = method.readout(kind, has_lm_head=has_lm_head(model))
    if task.kind in IN_PLACE:
        if method.readout(kind, has_lm_head=False) != "head":
            raise SoftPromptError(
                f"method {method.name!r} answers with label words, and task {task.name!r} is of the kind {task.kind}, "
                "which has none: choose another method, as p_tuning_v2"
            )
        default = "head"
    if task.kind in ("generation", FACT) and default == "head" and method.name != "head_only":
        default = "mask" if task.kind == FACT and kind == "encoder" else "text"
    name = options.readout or default
    if method.name == "head_only" and name != "head":
        raise SoftPromptError(f"method 'head_only' trains a linear head: readout {name!r} has none; leave readout out")
    if not method.trains() and method.name != "head_only" and name in ("head", "rows"):
        raise SoftPromptError(
            f"method {method.name!r} trains nothing, so readout {name!r} stays untrained: use method 'head_only'"
            + ("" if task.kind in IN_PLACE else ", or a backbone with a language-model head")
        )
    chosen = {field: getattr(options, field) for field in ReadoutSpec.model_fields if field != "name"}
    chosen["max_length"] = options.max_length or SHORT
    if name == "head" and options.pooling == "auto" and task.kind not in IN_PLACE:
        wanted = told_pooling(model) or method.pooling(kind)
        chosen["pooling"] = "auto" if wanted in (None, usual_pooling(causal=kind == "causal")) else wanted
    spec: ReadoutSpec = checked(ReadoutSpec, {"name": name, **chosen}, "training")
    return spec


class Completed(NamedTuple):
    """What a user left open, as a run has it."""

    method: Method
    options: TrainingOptions
    told: tuple[str, ...] = ()  # what was chosen, a line each


def by_default(backbone: Backbone, options: TrainingOptions, rows: int, method: Method | None = None) -> Completed:
    """The backbone's default method, which goes over many rows less often than its recipe says.

    Args:
        backbone: the frozen model.
        options: the user's; what stands in them counts.
        rows: to train on.
        method: the default one with options of the user.
    """
    default = default_method(backbone)
    recipe = default.method.recipe(backbone.anatomy.family, backbone.anatomy.kind)
    epochs = passes(recipe, rows, options.batch_size or recipe.batch_size)
    told = f"{default.told}; --method names another"
    if options.epochs is None and options.max_steps is None and epochs < recipe.epochs:
        options = options.model_copy(update={"epochs": epochs})
        told += f"; {epochs} of its {recipe.epochs} epochs, about {STEPS} steps: --epochs asks for more"
    return Completed(method or default.method, options, (told,))


def completed(
    backbone: Backbone, task: Task, method: Method | str | None, options: TrainingOptions, rows: int
) -> Completed:
    """The method, by default the backbone's, and the options, with a linear head where guessed label words are bad.

    Whoever chose label words, or a readout, keeps them. A method whose course is about label words has no use for a
    head.

    Raises:
        SoftPromptError: no such method, or it names a pattern that the task has not.
    """
    found = _completed(backbone, task, method, options, rows)
    rate = told_rate(backbone.anatomy, found.method, found.options)
    return Completed(found.method, found.options, (*found.told, *told_layers(backbone.anatomy, found.method), *rate))


def told_layers(anatomy: Anatomy, method: Method) -> list[str]:
    """One line that says which layers of a hybrid have prefixes; none for other models and methods."""
    having = [str(layer) for layer, attention in enumerate(anatomy.attentions) if attention is not None]
    if method.site != "attention" or len(having) == anatomy.num_layers or not having:
        return []
    return [f"prefixes: at the layers with attention alone, {', '.join(having)} of 0 to {anatomy.num_layers - 1}"]


def told_rate(anatomy: Anatomy, method: Method, options: TrainingOptions) -> list[str]:
    """One line that warns of a learning rate which was carried over from other families; none of the user's own."""
    recipe = method.recipe(anatomy.family, anatomy.kind)
    if options.learning_rate is not None or not recipe.carried_to(anatomy.family):
        return []
    return [
        f"warning: the learning rate of {method.name}, {recipe.learning_rate:g}, is unmeasured on this family "
        f"({anatomy.family}; {recipe.source}): compare some on the validation rows with --learning-rate"
    ]


def _completed(
    backbone: Backbone, task: Task, method: Method | str | None, options: TrainingOptions, rows: int
) -> Completed:
    if method is None:
        chosen, options, told = by_default(backbone, options, rows)
    else:
        chosen, told = method_of(method) if isinstance(method, str) else method, ()
    chosen = with_texts(chosen, task, backbone)
    usual = chosen.readout(backbone.anatomy.kind, has_lm_head=backbone.has_lm_head)
    able = chosen.trains() and chosen.course in ("fit", "layers") and usual in ("text", "mask")
    if not task.guessed or options.readout is not None or not able:
        return Completed(chosen, options, told)
    why = why_no_words(task, backbone.tokenizer, mask=usual == "mask", seq2seq=backbone.is_encoder_decoder)
    if why is None:
        return Completed(chosen, options, told)
    head = f"answers: a linear head, since {why}; --set readout={usual} has the language model answer"
    return Completed(chosen, options.model_copy(update={"readout": "head"}), (*told, head))


def too_few(task: Task, splits: Splits) -> list[str]:
    """A warning of the classes that cannot be learned: those without training rows, and those with very few."""
    if task.kind != "classification":
        return []
    counts = Counter(row.label for row in splits.train)
    by_value = {value: counts[index] for index, value in enumerate(task.label_values)}
    missing = [value for value, count in by_value.items() if not count]
    lines = [f"warning: no training row has the label {listed(missing)}, which cannot be learned so"] if missing else []
    rare = {value: count for value, count in by_value.items() if 0 < count < _FEW}
    if not rare or splits.shots is not None:
        return lines
    shown = ", ".join(f"{shortened(repr(value), 60)} ({count})" for value, count in [*rare.items()][:_SHOWN])
    more = f" and {len(rare) - _SHOWN} more" if len(rare) > _SHOWN else ""
    mend = "give more of them, or mend the label or merge it with another"
    return [*lines, f"warning: classes with fewer than {_FEW} training rows: {shown}{more}; {mend}"]
