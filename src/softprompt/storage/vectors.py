"""From a file's tensors to a prompt: what its options ask for is compared with what is stored before it is made.

And from a prompt to the vectors that it puts into the input.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from softprompt.attached.attach import build, sketch
from softprompt.backbones.backbone import Backbone
from softprompt.backbones.fingerprint import Fingerprint, difference
from softprompt.errors import SoftPromptError
from softprompt.files.documents import plain
from softprompt.files.forms import TensorForm, check_forms
from softprompt.files.places import META, TENSORS
from softprompt.methods.base import Method
from softprompt.methods.parts.layers import LayerPrompt
from softprompt.readouts import Readout
from softprompt.sites.modes import evaluating
from softprompt.sites.producer import Producer, View
from softprompt.storage.reading import warn_of_another
from softprompt.storage.record import PROMPT_MEND, Description

HEAD = "head."  # names of a readout's tensors begin so


def check_backbone(path: Path, described: Description, backbone: Backbone) -> Fingerprint:
    """The fingerprint of a backbone, which is the one that a prompt was made for; another tokenizer is warned of.

    Raises:
        SoftPromptError: it is another, with the difference.
    """
    own = backbone.fingerprint
    differs = difference(described.record.backbone, own)
    if differs is not None:
        raise SoftPromptError(f"{path}: made for another backbone ({differs}); load the one it was trained on")
    warn_of_another(described.record, backbone.tokenizer, path)
    return own


def blank_producer(path: Path, described: Description, forms: Mapping[str, TensorForm], backbone: Backbone) -> Producer:
    """A prompt that waits for the tensors of a folder, which are those that its options ask for.

    Raises:
        SoftPromptError: a tensor is missing, is one too many, or has another type or shape; or the options make no
            prompt for the backbone.
    """
    asked = _asked(path, described, forms, backbone)
    check_forms(path / TENSORS, {name: form for name, form in forms.items() if not name.startswith(HEAD)}, asked)
    return build(backbone, described.method, blank=True)


def _asked(
    path: Path, described: Description, forms: Mapping[str, TensorForm], backbone: Backbone
) -> dict[str, TensorForm]:
    """The forms of the tensors that a method's options ask for."""
    try:
        stored = sketched(backbone, described.method).stored_in(backbone.model)
    except SoftPromptError as error:
        raise SoftPromptError(f"{path / META}: options: {error}") from None
    # Sizes that no tensor can have; torch raises what it likes for them.
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        reason = plain(str(error).split("\n")[0], quote=False)
        raise SoftPromptError(f"{path / META}: options: they make no prompt ({reason}): {PROMPT_MEND}") from None
    # Weights of the backbone stay in the type that it was trained in; the prompt's own are of one type.
    weights = {id(parameter): name for name, parameter in backbone.model.named_parameters()}
    asked = {}
    for name, tensor in stored.items():
        own = weights.get(id(tensor))
        asked[name] = TensorForm.of(tensor, also=(described.record.backbone.dtype,) if own else ())
        if own and (name not in forms or forms[name].shape != asked[name].shape):
            raise SoftPromptError(f"{path / TENSORS}: lacks the backbone's weight {own!r}: save the prompt again")
    return asked


def sketched(backbone: Backbone, method: Method) -> Producer:
    """A sketch, or the prompt itself of a package's method that wants numbers, which `meta` has not."""
    try:
        return sketch(backbone, method)
    except RuntimeError as error:
        if "meta" not in str(error):
            raise
        return build(backbone, method, blank=True)


def check_head(path: Path, described: Description, forms: Mapping[str, TensorForm], readout: Readout | None) -> None:
    """Make sure that a file holds a readout's tensors.

    Raises:
        SoftPromptError: a tensor is missing, is one too many, or has another type or shape.
    """
    expected: dict[str, TensorForm] = {}
    if readout is not None:
        assert described.task is not None
        expected = {name: TensorForm.of(tensor) for name, tensor in readout.stored().items()}
        sizes = {"head.calibration": ("F32", (None,)), "head.label_tokens": ("I64", (None, None))}
        classes = len(described.task.labels)
        expected |= {name: TensorForm((sizes[name][0],), (classes, *sizes[name][1][1:])) for name in readout.found}
    optional = set(readout.found) - described.method.found() if readout is not None else ()
    check_forms(
        path / TENSORS, {name: form for name, form in forms.items() if name.startswith(HEAD)}, expected, optional
    )


def check_ids(path: Path, tensors: Mapping[str, Tensor], vocabulary: int) -> None:
    """Make sure that token ids are in the vocabulary; no other whole numbers stand in a prompt file of ours.

    Raises:
        SoftPromptError: one is not.
    """
    for name in ("ids", "head.label_tokens"):
        ids = tensors.get(name)
        if ids is not None and ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < vocabulary:
            raise SoftPromptError(
                f"{path / TENSORS}: tensor {name!r} holds a token id beyond the backbone's {vocabulary:,} words: "
                "save the prompt again"
            )


def fill(producer: Producer, tensors: dict[str, Tensor]) -> None:
    """Give a blank prompt its tensors, on the device where it is."""
    device = next(producer.parameters(), None)
    producer.load_stored(tensors)
    if device is not None:
        producer.to(device.device)


@torch.no_grad()
def input_rows(producer: Producer, width: int) -> Tensor | None:
    """What stands in the input at the virtual tokens: a copy, fp32 on the CPU, `(P, E)`.

    None where a prompt has nothing of its own there: at another site, or made from each text.

    Args:
        producer: the prompt.
        width: E.
    """
    # A prompt over layers starts its slots at a neutral vector, which is none of its own.
    own = producer.footprint
    if own.count and own.static and not isinstance(producer, LayerPrompt):
        device = next(producer.parameters(), torch.empty(0)).device
        slots = torch.arange(own.count, device=device)[None]
        none = torch.zeros(1, own.count, dtype=torch.bool, device=device)
        with evaluating(producer):
            made = producer.embed(View(torch.zeros(1, own.count, width, device=device), slots, none))
        if made is not None:
            return made.detach().reshape(-1, width).float().cpu().clone()
    table = producer.stored().get("table")
    if own.count and not own.hidden_layers and table is not None and table.shape == (own.count, width):
        return table.float().cpu().clone()
    return None
