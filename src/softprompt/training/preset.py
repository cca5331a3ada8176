"""A preset on a backbone and a task: the run of it that fits, and the user's own settings, which win and are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pydantic import JsonValue

from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError
from softprompt.guards.suggestions import folded
from softprompt.methods.base import Method
from softprompt.methods.registry import METHODS, checked
from softprompt.presets.catalog import preset as preset_of
from softprompt.presets.definition import Preset, PresetRun, Settings, UsedPreset
from softprompt.tasks import Task
from softprompt.training.options import TrainingOptions

_LENGTHS = ("epochs", "max_steps")  # of a training: who says one of them means no other


@dataclass(frozen=True)
class Applied:
    """What a preset comes to.

    Attributes:
        task: in the preset's words, where it has them.
        method: with the preset's options and the user's.
        options: of training, likewise.
        used: what the records keep; None without a preset.
        told: a line for each thing that is not as in the preset.
        source: where the rates come from; None without a preset.
    """

    task: Task
    method: Method | str | None
    options: TrainingOptions
    used: UsedPreset | None = None
    told: tuple[str, ...] = ()
    source: str | None = None

    def recorded(self) -> dict[str, JsonValue]:
        """What the records hold of it: nothing without a preset."""
        return {} if self.used is None else {"preset": self.used.model_dump(mode="json")}


def with_preset(
    given: str | Path | UsedPreset | None,
    backbone: Backbone,
    task: Task,
    method: Method | str | None,
    options: TrainingOptions,
) -> Applied:
    """A run's task, method and options, with what a preset says where the user says nothing.

    Args:
        given: a name, a YAML file, what a run recorded, whose options are there already, or None.
        backbone: the frozen model.
        task: with its data.
        method: the user's: the preset's own with options, or its name; None takes the preset's.
        options: the user's.

    Raises:
        SoftPromptError: no such preset, another method, a backbone or a task that it has no run for, or a fault in its
            settings.
    """
    if given is None:
        return Applied(task, method, options)
    if isinstance(given, UsedPreset):
        return Applied(task, method, options, given, source=f"preset {given.name}: {given.run}")
    preset = preset_of(given)
    run, chosen = run_for(preset, backbone, task), _own(preset, method)
    named = f"preset {preset.name!r}"
    own = {**preset.options, **run.options}
    made = checked(METHODS.get(preset.method), {**own, **chosen}, f"{named}: method {preset.method!r}")
    said = {name: getattr(options, name) for name in options.model_fields_set}
    training = {**preset.training, **run.training}
    taken = {name: value for name, value in training.items() if name not in _LENGTHS or not said.keys() & {*_LENGTHS}}
    settled = checked(TrainingOptions, {**taken, **said}, f"{named}: training")
    words, template = _in_words(run, task)
    otherwise = {**_otherwise(own, made), **_otherwise(training, settled)}
    if template is not None:
        otherwise["template"] = (template, run.template)
    lines = [f"preset: {name} is {mine!r}, in {preset.name} {its!r}" for name, (mine, its) in otherwise.items()]
    told = (f"preset: {preset.name}, as {run.name} ({preset.url})", *lines, *_of_backbone(preset, run, backbone))
    used = UsedPreset(name=preset.name, run=run.name, changed={name: mine for name, (mine, _) in otherwise.items()})
    return Applied(words, made, settled, used, told, f"{named} ({run.name}): {run.source or preset.source}")


def run_for(preset: Preset, backbone: Backbone, task: Task) -> PresetRun:
    """The first run of a preset that is for a backbone and a task.

    Raises:
        SoftPromptError: there is none, with what there is.
    """
    anatomy, names = backbone.anatomy, {folded(name) for name in (task.name, *task.aliases)}
    instead = next((other for name, other in preset.tasks.items() if folded(name) in names), None)
    if instead is not None:
        raise SoftPromptError(f"preset {preset.name!r} casts task {task.name!r} otherwise: give task {instead!r}")
    fitting = [
        run
        for run in preset.runs
        if (not run.kinds or anatomy.kind in run.kinds) and (not run.families or anatomy.family in run.families)
    ]
    there = ", ".join(run.name for run in fitting or preset.runs)
    mend = "choose another preset, or set by hand what you want of it (softprompt presets shows it)"
    if not fitting:
        raise SoftPromptError(
            f"preset {preset.name!r} has no run on {anatomy.family} ({anatomy.kind}); it has {there}: {mend}"
        )
    found = next((run for run in fitting if not run.tasks or names & set(map(folded, run.tasks))), None)
    if found is None:
        raise SoftPromptError(
            f"preset {preset.name!r} has no run for task {task.name!r} on {anatomy.family}; it has {there}: {mend}"
        )
    return found


def _own(preset: Preset, method: Method | str | None) -> Mapping[str, object]:
    """The options of the method that the user chose."""
    name = method.name if isinstance(method, Method) else method
    if name is not None and name != preset.method:
        raise SoftPromptError(
            f"preset {preset.name!r} is of method {preset.method!r}, and {name!r} was asked for: leave one of them out"
        )
    if not isinstance(method, Method):
        return {}
    return {field: getattr(method, field) for field in method.model_fields_set}


def _otherwise(wanted: Settings, found: Method | TrainingOptions) -> dict[str, tuple[JsonValue, JsonValue]]:
    """What is not as a preset has it: the value that it has, and the preset's. A name that both have has its owner."""
    own = cast("dict[str, JsonValue]", found.model_dump(mode="json"))
    like = checked(type(found), wanted, "preset").model_dump(mode="json")
    names = {name: name for name in wanted}
    if isinstance(found, Method):
        names |= {name: f"method.{name}" for name in wanted if name in TrainingOptions.model_fields}
    return {names[name]: (own.get(name), like[name]) for name in wanted if own.get(name) != like[name]}


def _in_words(run: PresetRun, task: Task) -> tuple[Task, str | None]:
    """The task in the words of the paper, or which ones it has: those that the user took, or its own."""
    if run.template is None:
        return task, None
    if task.worded is not None:
        return task, None if folded(task.worded) == folded(run.template) else task.worded
    if folded(run.template) not in map(folded, task.patterns):
        return task, "the task's own"
    return task.with_template(run.template), None


def _of_backbone(preset: Preset, run: PresetRun, backbone: Backbone) -> list[str]:
    """A line for each thing of the backbone that is otherwise than in the preset."""
    lines, layers = [], backbone.anatomy.num_layers
    dtype = str(backbone.dtype).removeprefix("torch.")
    if preset.dtype is not None and dtype != preset.dtype:
        lines.append(f"preset: the backbone is in {dtype}, in {preset.name} in {preset.dtype}: --dtype loads it so")
    if run.layers is not None and layers != run.layers:
        lines.append(f"preset: the backbone has {layers} layers, in {preset.name} ({run.name}) {run.layers}")
    return lines
