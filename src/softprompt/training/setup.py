"""What is settled between a task, a backbone and a method before the first step."""

from __future__ import annotations

from torch import nn

from softprompt.backbones.anatomy import read_anatomy
from softprompt.backbones.heads import has_lm_head
from softprompt.errors import SoftPromptError
from softprompt.methods.base import Method
from softprompt.methods.registry import checked
from softprompt.readouts import Readout, ReadoutSpec
from softprompt.sites.producer import Producer
from softprompt.tasks import Task
from softprompt.training.options import TrainingOptions


def readout_spec(model: nn.Module, task: Task, method: Method, options: TrainingOptions) -> ReadoutSpec:
    """The readout of a training: the user's, else the method's.

    Raises:
        SoftPromptError: the method is used with a head only and another readout was asked for, or an option is out of
            bounds.
    """
    anatomy = read_anatomy(model)
    default = method.readout(anatomy.kind, has_lm_head=has_lm_head(model))
    if task.kind == "generation" and default == "head" and method.name != "head_only":
        default = "text"
    name = options.readout or default
    if method.name == "head_only" and name != "head":
        raise SoftPromptError(f"method 'head_only' trains a linear head: readout {name!r} has none; leave readout out")
    if not method.trains() and method.name != "head_only" and name in ("head", "rows"):
        raise SoftPromptError(
            f"method {method.name!r} trains nothing, so readout {name!r} stays untrained: use method 'head_only', or a "
            "backbone with a language-model head"
        )
    chosen = {field: getattr(options, field) for field in ReadoutSpec.model_fields if field != "name"}
    spec: ReadoutSpec = checked(ReadoutSpec, {"name": name, **chosen}, "training")
    return spec


def counts(producer: Producer, readout: Readout | None) -> tuple[int, int]:
    """Trained scalars: the prompt's own and the head's."""
    own = sum(p.numel() for p in producer.parameters() if p.requires_grad)
    head = 0 if readout is None else sum(p.numel() for p in readout.parameters() if p.requires_grad)
    return own, head
