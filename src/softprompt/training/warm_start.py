r"""Start a run from a saved prompt: soft prompt transfer.

Vu et al., "SPoT: Better Frozen Model Adaptation through Soft Prompt Transfer", ACL 2022,
<https://arxiv.org/abs/2110.07904>: a target task's prompt starts from the prompt of a source task. Method and shapes
must agree. What a prompt file holds is what inference needs, so a re-parametrised prompt goes on in its materialised
form, trained directly. A linear head belongs to its task's labels and is not taken over.
"""

from __future__ import annotations

from pathlib import Path

from softprompt.attached.model import PromptedModel
from softprompt.backbones.anatomy import read_anatomy
from softprompt.backbones.backbone import Backbone
from softprompt.backbones.fingerprint import difference, fingerprint
from softprompt.errors import SoftPromptError
from softprompt.files.forms import read_forms
from softprompt.files.places import TENSORS, folder_of
from softprompt.files.tensors import read_tensors
from softprompt.files.written import check_written
from softprompt.methods.base import Method
from softprompt.methods.parts.layers import OverLayers
from softprompt.storage.record import Description, read_description
from softprompt.storage.vectors import HEAD, blank_producer, fill


def start_from(prompted: PromptedModel, method: Method, folder: str | Path) -> None:
    """Give a new prompt the values of a saved one.

    Args:
        prompted: the backbone with the new prompt attached, alone.
        method: its method.
        folder: of the saved prompt, or of its run.

    Raises:
        SoftPromptError: no prompt there, one of another method, backbone, shape or other layers, or a method that
            trains no prompt or draws its own anew.
    """
    path = folder_of(folder)
    if not method.continues():
        raise SoftPromptError(f"method {method.name!r} does not start from another prompt: leave init_from out")
    saved = read_description(path)
    if saved.method.name != method.name:
        raise SoftPromptError(f"{path}: a prompt of method {saved.method.name!r}: start from one of {method.name!r}")
    differs = difference(saved.record.backbone, fingerprint(prompted))
    if differs is not None:
        raise SoftPromptError(f"{path}: made for another backbone ({differs}); start from one of this backbone")
    if isinstance(method, OverLayers):
        _check_layers(path, method, saved, prompted)
    asked = Description(saved.record, method, saved.task)
    made = blank_producer(path, asked, read_forms(path / TENSORS), Backbone(prompted.backbone, prompted.tokenizer))
    fill(made, {name: value for name, value in read_tensors(path / TENSORS).items() if not name.startswith(HEAD)})
    check_written(path)
    name = prompted.names[0]
    prompted.remove(name)
    prompted.add(name, made)


def check_starts(method: Method, backbone: Backbone) -> None:
    """Make sure that the rows which a method starts from are rows of this backbone's.

    Raises:
        SoftPromptError: they are of another one's, where they would mean nothing.
    """
    for place in method.starts():
        path = folder_of(Path(place))
        differs = difference(read_description(path).record.backbone, backbone.fingerprint)
        if differs is not None:
            raise SoftPromptError(f"{path}: made for another backbone ({differs}); start from one of this backbone")


def _check_layers(path: Path, method: OverLayers, saved: Description, prompted: PromptedModel) -> None:
    """As many other layers have tensors of the same shapes."""
    assert isinstance(saved.method, OverLayers)
    count = read_anatomy(prompted.backbone).num_layers
    if saved.method.selection.of(count) != method.selection.of(count):
        select = saved.method.select
        raise SoftPromptError(f"{path}: its layers are {select}, not {method.select}; take select={select}")
