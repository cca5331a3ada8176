"""The prompt folder: `prompt.safetensors`, `prompt.json` and a model card."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from pydantic import JsonValue
from torch import Tensor, nn

from softprompt.attached.answering import Returned, Returns, Text
from softprompt.attached.attach import attach
from softprompt.attached.model import PromptedModel
from softprompt.attached.reuse import LastAttached
from softprompt.backbones.backbone import MISSING, Backbone, Missing, backbone_of
from softprompt.backbones.fingerprint import Fingerprint
from softprompt.backbones.settings import usual_settings
from softprompt.errors import SoftPromptError
from softprompt.files import strict_json
from softprompt.files.forms import read_forms
from softprompt.files.places import CARD, META, TENSORS, is_peft, stored_prompt
from softprompt.files.tensors import read_tensors, write_tensors
from softprompt.files.whole import replacing
from softprompt.files.written import check_written
from softprompt.guards.kinds import check_kind
from softprompt.guards.paths import folder_for
from softprompt.guards.summaries import Summarised, Summary
from softprompt.inference.batches import Tick
from softprompt.inference.predict import Answer, answered, answers, predict
from softprompt.inference.through import Through
from softprompt.interop.hub import at_hand
from softprompt.interop.peft_checkpoint import read_peft
from softprompt.methods.base import Method
from softprompt.methods.registry import checked
from softprompt.readouts import Outcome, Readout, ReadoutSpec, build_readout
from softprompt.sites.producer import Producer
from softprompt.storage.card import model_card
from softprompt.storage.reading import reading_of
from softprompt.storage.record import PromptRecord, read_description, recorded
from softprompt.storage.seen import read_seen, write_seen
from softprompt.storage.summary import summary_of
from softprompt.storage.vectors import HEAD, blank_producer, check_backbone, check_head, check_ids, fill
from softprompt.tasks import Row, Task
from softprompt.tasks.seen import SeenRows, unseen

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(repr=False)
class Prompt(Summarised, Through):
    """A prompt with all that is needed to use it.

    Attributes:
        method: the method and its options.
        producer: the vectors.
        task: what it was trained for, or None.
        readout: how its answers are read, or None where there is no task.
        readout_spec: what that readout was built from, or None where there is none.
        fingerprint: the backbone it belongs to.
        meta: all else that `prompt.json` holds: versions, metrics, seed.
        seen: the rows that it was trained and chosen on, as far as they are known. Whatever scores its readout's
            answers counts them as `seen_rows`; `unseen` leaves them out.

    Example:
        >>> set(prompt.predict(["a moving film", "a dull one"])) <= set(prompt.task.labels)
        True
    """

    method: Method
    producer: Producer
    task: Task | None
    readout: Readout | None
    readout_spec: ReadoutSpec | None
    fingerprint: Fingerprint
    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    meta: dict[str, Any] = field(default_factory=dict)
    seen: SeenRows = field(default_factory=SeenRows)
    _last: LastAttached = field(default_factory=LastAttached, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Let the readout know the rows, too: answers are scored with it, far from here."""
        if self.readout is not None:
            self.readout.seen = self.seen
        given: object = self.readout_spec
        if isinstance(given, dict):
            _warn_of_options(4)  # behind this and the constructor
            self.readout_spec = checked(ReadoutSpec, given, "Prompt") if given else None

    @property
    def name(self) -> str:
        """The task's name, or the method's."""
        return self.task.name if self.task is not None else self.method.name

    def summary(self) -> Summary:
        """What a notebook shows of it."""
        return summary_of(self.method, self.task, self.meta, self.seen, self.stored_parameters)

    @property
    def readout_options(self) -> dict[str, JsonValue]:
        """The old form of `readout_spec`."""
        _warn_of_options(3)
        return {} if self.readout_spec is None else self.readout_spec.model_dump(mode="json")

    @property
    def stored_parameters(self) -> int:
        """Scalars in `prompt.safetensors`."""
        return sum(tensor.numel() for tensor in stored_tensors(self.producer, self.readout).values())

    @property
    def backbone(self) -> Backbone:
        """The model and the tokenizer that it was loaded for."""
        return Backbone(self.model, self.tokenizer)

    def attach(self) -> PromptedModel:
        """Attach the prompt to its backbone.

        As long as it stays attached, and alone, the prompt's own calls (`predict`, `outcomes`, what scores it) go
        through it. Whoever answers request after request attaches once:

            with prompt.attach():
                for texts in requests:
                    prompt.predict(texts)
        """
        return self._last.gave(self._attached_anew())

    def attached(self) -> AbstractContextManager[PromptedModel]:
        """The prompt attached for a block: what `attach` gave last, where that will do, else for this block alone."""
        return self._last.attached(self.model, [self.producer], self._attached_anew)

    def _attached_anew(self) -> PromptedModel:
        return attach(self.backbone, self)

    @overload
    def predict(
        self, texts: Sequence[Text], *, batch_size: int = 32, returns: Literal["labels", "words"] = "labels"
    ) -> list[str]: ...

    @overload
    def predict(
        self, texts: Sequence[Text], *, batch_size: int = 32, returns: Literal["probabilities"]
    ) -> list[dict[str, float]]: ...

    def predict(self, texts: Sequence[Text], *, batch_size: int = 32, returns: Returned = "labels") -> Returns:
        """The label (or number, or text) of each input.

        Args:
            texts: plain strings for a task of one field, else mappings from field to text.
            batch_size: rows a forward pass.
            returns: `labels`; `words`, the labels' words; or `probabilities`, those of every label (or choice) by its
                name.

        Raises:
            SoftPromptError: probabilities of a task whose answers have none, or another word for `returns`.

        Example:
            >>> found = prompt.predict(["a moving film"], returns="probabilities")[0]
            >>> sorted(found) == sorted(prompt.task.labels), round(sum(found.values()), 3)
            (True, 1.0)
        """
        with self.attached() as prompted:
            return self.answers_through(prompted, texts, name=prompted.names[0], batch_size=batch_size, returns=returns)

    def outcomes(self, texts: Sequence[str | Mapping[str, object]], *, batch_size: int = 32) -> list[Outcome]:
        """Predictions with their probabilities, class indices as they are."""
        rows, (_, readout) = self._rows(texts), self.asked()
        with self.attached() as prompted:
            return answered(predict(prompted, readout, rows, batch_size=batch_size))

    def unseen(self, rows: Sequence[Row]) -> list[Row]:
        """The rows that the prompt was neither trained nor chosen on, whatever their labels.

        A prompt of an earlier version does not know its rows (`seen.complete` is false): then all are given back.
        """
        return unseen([self.seen], rows)


def _warn_of_options(level: int) -> None:
    told = "a Prompt's readout_options, a dict, are its readout_spec now, a softprompt.readouts.ReadoutSpec"
    warnings.warn(told, DeprecationWarning, stacklevel=level)


def answers_to(prompt: Prompt, rows: Sequence[Row], *, batch_size: int = 32, tick: Tick | None = None) -> list[Answer]:
    """The answers to rows in the task's own words; `tick` is told how many are done."""
    with prompt.attached() as prompted:
        return answers(prompted, *prompt.asked(), rows, batch_size=batch_size, tick=tick)


def stored_tensors(producer: Producer, readout: Readout | None) -> dict[str, Tensor]:
    """What the file holds: the prompt's tensors and the head's."""
    return {**producer.stored(), **({} if readout is None else readout.stored())}


def record_of(prompt: Prompt) -> PromptRecord:
    """What `prompt.json` holds of a prompt.

    Raises:
        SoftPromptError: `meta` holds what it cannot.
    """
    described = {
        "method": prompt.method.name,
        "options": prompt.method.model_dump(mode="json"),
        "task": None if prompt.task is None else prompt.task.model_dump(mode="json"),
        "readout": None if prompt.readout_spec is None else prompt.readout_spec.model_dump(mode="json"),
        "backbone": prompt.fingerprint.model_dump(mode="json"),
    }
    if prompt.seen.division is not None:
        described["rows"] = prompt.seen.division.model_dump(mode="json", exclude_defaults=True)
    name = getattr(prompt.model.config, "name_or_path", "")
    beside = {"backbone_name": name, "tokenizer": reading_of(prompt.tokenizer)}
    return recorded(described, {**{key: value for key, value in beside.items() if value}, **prompt.meta})


def save(prompt: Prompt, folder: str | Path) -> Path:
    """Write a prompt folder, whole or not at all.

    Raises:
        SoftPromptError: it is no prompt, the place cannot be written, or `meta` holds what `prompt.json` cannot.

    Example:
        >>> folder = sp.save(prompt, "kept")
        >>> sp.load(folder, model, tokenizer).method == prompt.method
        True
    """
    check_kind("save", "prompt", prompt, Prompt)
    path, record = folder_for(folder, "prompt"), record_of(prompt)
    with replacing(path) as beside:
        write_tensors(beside / TENSORS, stored_tensors(prompt.producer, prompt.readout))
        write_seen(beside, prompt.seen)
        strict_json.dump(record.model_dump(mode="json", exclude_unset=True), beside / META)
        card = model_card(record, prompt.method, prompt.task, prompt.readout)
        (beside / CARD).write_text(card, encoding="utf-8")
    return path


@overload
def load(folder: str | Path, model: Backbone) -> Prompt: ...


@overload
def load(folder: str | Path, model: nn.Module, tokenizer: PreTrainedTokenizerBase | None) -> Prompt: ...


@usual_settings()
def load(
    folder: str | Path, model: nn.Module | Backbone, tokenizer: PreTrainedTokenizerBase | Missing | None = MISSING
) -> Prompt:
    """Read a prompt folder, or that of a finished run, for a backbone: a `Backbone`, or a model and its tokenizer.

    `hf://OWNER/NAME` is a prompt of the hub, of which the files of a prompt are fetched and nothing else.

    Types and shapes are checked by the file's header before anything is made of them. A checkpoint of PEFT that holds
    a prompt is read, too; it knows of no task, and of its backbone no more than sizes.

    Raises:
        SoftPromptError: a file is missing or damaged, a field or a tensor is not what was written, or the backbone is
            another than the prompt's.

    Example:
        >>> sp.load("runs/first", model, tokenizer).method.name
        'prompt_tuning'
    """
    backbone = backbone_of("load", model, tokenizer)
    path = stored_prompt(at_hand(folder), "prompt")
    if is_peft(path):
        return _of_peft(path, backbone)
    described = read_description(path)
    own = check_backbone(path, described, backbone)
    forms = read_forms(path / TENSORS)
    record = described.record
    producer = blank_producer(path, described, forms, backbone)
    readout = None
    if described.task is not None and record.readout is not None:
        try:
            readout = build_readout(described.task, backbone, producer, record.readout)
        except SoftPromptError as error:
            raise SoftPromptError(f"{path / META}: task or readout: {error}") from None
    check_head(path, described, forms, readout)
    tensors = read_tensors(path / TENSORS)
    check_ids(path, tensors, own.vocab_size)
    fill(producer, {name: value for name, value in tensors.items() if not name.startswith(HEAD)})
    head = {name: value for name, value in tensors.items() if name.startswith(HEAD)}
    if readout is not None and head:
        readout.load_stored(head)
    seen = read_seen(path, record.rows)
    check_written(path)
    return Prompt(
        described.method, producer, described.task, readout, record.readout, own, *backbone, record.more, seen
    )


def _of_peft(path: Path, backbone: Backbone) -> Prompt:
    found = read_peft(path, backbone)
    return Prompt(found.method, found.producer, None, None, None, backbone.fingerprint, *backbone, found.report)
