"""softprompt: teach a frozen language model a task with a few kilobytes.

Names are loaded when they are first used, so that the command line answers at once.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from softprompt.guards.old_names import NAMES, find_moved_modules, old_name

if TYPE_CHECKING:
    from softprompt.attached.attach import attach
    from softprompt.attached.model import PromptedModel
    from softprompt.backbones.anatomy import Anatomy, read_anatomy, register_anatomy
    from softprompt.backbones.backbone import Backbone
    from softprompt.backbones.load import load_backbone
    from softprompt.carrying.formats import export
    from softprompt.carrying.push import push
    from softprompt.compare.auto import AutoRun, train_auto
    from softprompt.compare.layers import select_layers
    from softprompt.compare.rendering import Results, results
    from softprompt.errors import Interrupted, SoftPromptError
    from softprompt.evaluation.ensemble import Ensemble
    from softprompt.evaluation.pooled import pooled_metrics
    from softprompt.evaluation.score import evaluate
    from softprompt.evaluation.transfer import transfer_metrics
    from softprompt.explain.anchors.reading import anchor
    from softprompt.explain.nearest import nearest_words
    from softprompt.explain.patterns import layer_patterns
    from softprompt.explain.report.page import report
    from softprompt.explain.similarity import similarity_of
    from softprompt.methods.base import BuildContext, Method, Recipe
    from softprompt.methods.registry import method, register
    from softprompt.sites.producer import Producer, View
    from softprompt.storage.prompt import Prompt, load, save
    from softprompt.tasks import Task
    from softprompt.training.adaptation.run import adapt
    from softprompt.training.multitask.run import MultitaskRun, train_multitask
    from softprompt.training.options import TrainingOptions
    from softprompt.training.run import Run, open_run, train
    from softprompt.training.untrained import untrained

    Setting = BuildContext

__version__ = "0.1.0"

_WHERE = {
    "backbones.backbone": "Backbone",
    "backbones.load": "load_backbone",
    "errors": "Interrupted SoftPromptError",
    "evaluation.ensemble": "Ensemble",
    "evaluation.score": "evaluate",
    "evaluation.pooled": "pooled_metrics",
    "evaluation.transfer": "transfer_metrics",
    "explain.anchors.reading": "anchor",
    "explain.nearest": "nearest_words",
    "explain.patterns": "layer_patterns",
    "explain.report.page": "report",
    "explain.similarity": "similarity_of",
    "carrying.formats": "export",
    "carrying.push": "push",
    "methods": "BuildContext Method Recipe method register",
    "attached.model": "PromptedModel",
    "backbones.anatomy": "Anatomy read_anatomy register_anatomy",
    "sites.producer": "Producer View",
    "storage.attached": "attach",
    "storage.prompt": "Prompt load save",
    "tasks": "Task",
    "training.adaptation.run": "adapt",
    "compare.auto": "AutoRun train_auto",
    "compare.layers": "select_layers",
    "compare.rendering": "Results results",
    "training.multitask.run": "MultitaskRun train_multitask",
    "training.options": "TrainingOptions",
    "training.run": "Run open_run train",
    "training.untrained": "untrained",
}
_HOME = {name: module for module, names in _WHERE.items() for name in names.split()}

__all__ = [
    "Anatomy",
    "AutoRun",
    "Backbone",
    "BuildContext",
    "Ensemble",
    "Interrupted",
    "Method",
    "MultitaskRun",
    "Producer",
    "Prompt",
    "PromptedModel",
    "Recipe",
    "Results",
    "Run",
    "SoftPromptError",
    "Task",
    "TrainingOptions",
    "View",
    "adapt",
    "anchor",
    "attach",
    "evaluate",
    "export",
    "layer_patterns",
    "load",
    "load_backbone",
    "method",
    "nearest_words",
    "open_run",
    "pooled_metrics",
    "push",
    "read_anatomy",
    "register",
    "register_anatomy",
    "report",
    "results",
    "save",
    "select_layers",
    "similarity_of",
    "train",
    "train_auto",
    "train_multitask",
    "transfer_metrics",
    "untrained",
]


def __getattr__(name: str) -> Any:
    """An export, an old name of one, or the class of a method (`softprompt.CaPT`)."""
    if name in _HOME:
        with warnings.catch_warnings():
            # In a notebook tqdm asks for ipywidgets as soon as transformers imports it; no bar of ours needs them.
            warnings.filterwarnings("ignore", "IProgress not found")
            return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    known = not name.startswith("_") and name not in NAMES
    found = getattr(import_module(f"{__name__}.methods"), name, None) if known else None
    return old_name(__name__, name) if found is None else found


def __dir__() -> list[str]:
    return sorted(__all__)


find_moved_modules()
