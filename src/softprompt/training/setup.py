"""What is settled between a task, a backbone and a method before the first step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue
from torch import nn

from softprompt.backbones.anatomy import read_anatomy
from softprompt.backbones.backbone import Backbone
from softprompt.backbones.heads import has_lm_head
from softprompt.errors import SoftPromptError
from softprompt.methods.base import Method
from softprompt.methods.registry import checked
from softprompt.progress import Progress
from softprompt.readouts import ReadoutSpec
from softprompt.tasks import Splits, Task
from softprompt.tasks.in_place import IN_PLACE
from softprompt.training.options import TrainingOptions

PROMPT, STATE = "prompt", "state"


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


def readout_spec(model: nn.Module, task: Task, method: Method, options: TrainingOptions) -> ReadoutSpec:
    """The readout of a training: the user's, else the method's.

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
    if task.kind == "generation" and default == "head" and method.name != "head_only":
        default = "text"
    name = options.readout or default
    if method.name == "head_only" and name != "head":
        raise SoftPromptError(f"method 'head_only' trains a linear head: readout {name!r} has none; leave readout out")
    if not method.trains() and method.name != "head_only" and name in ("head", "rows"):
        raise SoftPromptError(
            f"method {method.name!r} trains nothing, so readout {name!r} stays untrained: use method 'head_only'"
            + ("" if task.kind in IN_PLACE else ", or a backbone with a language-model head")
        )
    chosen = {field: getattr(options, field) for field in ReadoutSpec.model_fields if field != "name"}
    spec: ReadoutSpec = checked(ReadoutSpec, {"name": name, **chosen}, "training")
    return spec
