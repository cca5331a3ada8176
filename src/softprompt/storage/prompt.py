"""The prompt folder: `prompt.safetensors`, `prompt.json` and a model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from softprompt.attaching import attach, build
from softprompt.errors import SoftPromptError
from softprompt.fingerprint import Fingerprint, difference, fingerprint
from softprompt.methods.base import Method
from softprompt.methods.registry import checked
from softprompt.methods.registry import method as method_of
from softprompt.prompted import PromptedModel
from softprompt.reading import build_readout
from softprompt.sites.producer import Producer
from softprompt.storage.card import model_card
from softprompt.storage.tensors import read_json, read_tensors, replacing, write_json, write_tensors
from softprompt.tasks import Task
from softprompt.tasks.readouts import Outcome, Readout

FORMAT = 1
TENSORS, META, CARD = "prompt.safetensors", "prompt.json", "README.md"


@dataclass
class Prompt:
    """A prompt with all that is needed to use it.

    Attributes:
        method: the method and its options.
        producer: the vectors.
        task: what it was trained for, or None.
        readout: how its answers are read, or None where there is no task.
        readout_options: the wishes the readout was built with, as stored.
        fingerprint: the backbone it belongs to.
        meta: all else that `prompt.json` holds: versions, metrics, seed.
    """

    method: Method
    producer: Producer
    task: Task | None
    readout: Readout | None
    readout_options: dict[str, Any]
    fingerprint: Fingerprint
    model: nn.Module
    tokenizer: Any
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The task's name, or the method's."""
        return self.task.name if self.task is not None else self.method.name

    @property
    def stored_parameters(self) -> int:
        """Scalars in `prompt.safetensors`."""
        return sum(tensor.numel() for tensor in stored_tensors(self.producer, self.readout).values())

    def attach(self) -> PromptedModel:
        """Attach the prompt to its backbone."""
        return attach(self.model, self.tokenizer, self)

    def predict(self, texts: Sequence[Any], *, batch_size: int = 32) -> list[str]:
        """The label (or number, or text) of each input.

        Args:
            texts: plain strings for a task of one field, else mappings from field to text.
            batch_size: rows a forward pass.
        """
        from softprompt.evaluation.predict import labelled

        return [answer.label for answer in labelled(self, self._rows(texts), batch_size=batch_size)]

    def outcomes(self, texts: Sequence[Any], *, batch_size: int = 32) -> list[Outcome]:
        """Predictions with their probabilities, class indices as they are."""
        from softprompt.evaluation.predict import predict

        assert self.readout is not None
        with self.attach() as prompted:
            return predict(prompted, self.readout, self._rows(texts), batch_size=batch_size)

    def _rows(self, texts: Sequence[Any]) -> Any:
        if self.task is None or self.readout is None:
            raise SoftPromptError("this prompt was saved without a task: attach it and call the model itself")
        return self.task.rows_of(list(texts))


def stored_tensors(producer: Producer, readout: Readout | None) -> dict[str, Any]:
    """What the file holds: the prompt's tensors and the head's."""
    return {**producer.stored(), **({} if readout is None else readout.stored())}


def save(prompt: Prompt, folder: str | Path) -> Path:
    """Write a prompt folder, whole or not at all.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    path = Path(folder)
    meta = {
        "format": FORMAT,
        "method": prompt.method.name,
        "options": prompt.method.model_dump(mode="json"),
        "task": None if prompt.task is None else prompt.task.model_dump(mode="json"),
        "readout": prompt.readout_options,
        "backbone": prompt.fingerprint.model_dump(mode="json"),
        **prompt.meta,
    }
    with replacing(path) as beside:
        write_tensors(beside / TENSORS, stored_tensors(prompt.producer, prompt.readout))
        write_json(beside / META, meta)
        (beside / CARD).write_text(model_card(meta), encoding="utf-8")
    return path


def load(folder: str | Path, model: nn.Module, tokenizer: Any) -> Prompt:
    """Read a prompt folder for a backbone.

    Raises:
        SoftPromptError: a missing or damaged file, a tensor of another shape, or another backbone than the prompt's.
    """
    path = Path(folder)
    meta = read_json(path / META)
    tensors = read_tensors(path / TENSORS)
    if meta.get("format") != FORMAT:
        raise SoftPromptError(f"{path / META}: format {meta.get('format')!r}, but this version reads format {FORMAT}")
    missing = [key for key in ("method", "options", "backbone", "readout") if key not in meta]
    if missing:
        raise SoftPromptError(f"{path / META}: no {missing[0]!r} in it; save the prompt again")
    own, wanted = fingerprint(model), checked(Fingerprint, meta["backbone"], f"{path / META}: backbone")
    differs = difference(wanted, own)
    if differs is not None:
        raise SoftPromptError(f"{path}: made for another backbone ({differs}); load the one it was trained on")
    method = method_of(meta["method"], **meta["options"])
    producer = build(model, tokenizer, method, blank=True)
    readout = None
    task = None
    if meta.get("task") is not None:
        task = Task(**meta["task"])
        readout = build_readout(task, model, tokenizer, producer, meta["readout"])
    head = {name: value for name, value in tensors.items() if name.startswith("head.")}
    vectors = {name: value for name, value in tensors.items() if not name.startswith("head.")}
    fill(path, producer, vectors)
    if readout is not None and (head or readout.stored()):
        _check(path, readout.stored(), head)
        readout.load_stored(head)
    extra = {k: v for k, v in meta.items() if k not in ("format", "method", "options", "task", "readout", "backbone")}
    return Prompt(method, producer, task, readout, meta["readout"], own, model, tokenizer, extra)


def fill(path: Path, producer: Producer, tensors: dict[str, Any]) -> None:
    """Give a blank prompt the tensors of a folder, checked against the shapes that its options ask for.

    Raises:
        SoftPromptError: a tensor is missing, or has another shape.
    """
    expected = producer.stored()
    if expected or not tensors:
        _check(path, expected, tensors)
    device = next(producer.parameters(), None)
    producer.load_stored(tensors)
    if device is not None:
        producer.to(device.device)


def _check(path: Path, expected: dict[str, Any], found: dict[str, Any]) -> None:
    for name, tensor in expected.items():
        if name not in found:
            raise SoftPromptError(f"{path / TENSORS}: tensor {name!r} is missing; save the prompt again")
        if found[name].shape != tensor.shape:
            raise SoftPromptError(
                f"{path / TENSORS}: tensor {name!r} has shape {tuple(found[name].shape)}, but its options ask for "
                f"{tuple(tensor.shape)}; restore prompt.json or save the prompt again"
            )
