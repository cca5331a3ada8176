"""Transformers' own pipeline for text classification, fed with rows as a prompt reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, TextClassificationPipeline

from softprompt.attached.answering import Answering
from softprompt.backbones.resting import device_of
from softprompt.errors import SoftPromptError, quoted
from softprompt.inference.predict import answered, predict
from softprompt.readouts import Item, Readout
from softprompt.tasks import Task

KIND = "text-classification"
_OPTIONS = ("truncation", "padding", "max_length")  # that are given to pipelines with a mapping of fields


class Classifier(nn.Module):
    """What the pipeline takes for its model: the label's names, and log-probabilities for logits.

    Attributes:
        config: the names of the labels.
    """

    def __init__(self, prompted: Answering, task: Task, readout: Readout, name: str) -> None:
        super().__init__()
        self.prompted, self.readout, self.name = prompted, readout, name
        names = dict(enumerate(task.label_values))
        self.config = PreTrainedConfig(
            id2label=names,
            label2id={value: index for index, value in names.items()},
            problem_type="single_label_classification",
        )

    @property
    def device(self) -> torch.device:
        """Of the backbone."""
        return device_of(self.prompted.backbone)

    @property
    def dtype(self) -> torch.dtype:
        """Of the backbone."""
        return next(self.prompted.backbone.parameters()).dtype

    def can_generate(self) -> bool:
        """No: it gives labels."""
        return False

    def forward(self, items: Item | list[Item]) -> dict[str, Tensor]:
        """`logits`: log-probabilities of the classes, `(rows, classes)`."""
        items = [items] if isinstance(items, Item) else items
        rows = [item.row for item in items]
        found = predict(self.prompted, self.readout, rows, batch_size=len(rows), items=items, prompts=self.name)
        return {"logits": torch.tensor([one.probabilities for one in answered(found)]).log()}


class RowEncoding:
    """What the pipeline takes for its tokenizer: it encodes a text, or fields by name, as the prompt reads them.

    Attributes:
        padding_side: the pipeline asks for it, and for the next, and pads nothing here.
        pad_token_id: see there.
    """

    padding_side, pad_token_id = "right", 0

    def __init__(self, task: Task, readout: Readout) -> None:
        self.task, self.readout = task, readout

    def __call__(self, *texts: str, return_tensors: str = "pt", **fields: str) -> dict[str, Item]:
        """The one item that the model is given for a text.

        Raises:
            SoftPromptError: an option of a tokenizer, which has no part here.
        """
        asked = next((name for name in fields if texts or (name in _OPTIONS and name not in self.task.fields)), None)
        if asked is not None:
            raise SoftPromptError(
                f"pipeline: {asked} is for a tokenizer, and the prompt cuts and pads its rows itself: leave it out"
            )
        return {"items": self.readout.encode(self.task.rows_of(texts or [fields])[0])}


class PromptPipeline(TextClassificationPipeline):
    """`transformers.TextClassificationPipeline` itself, for models of any class."""

    def check_model_type(self, supported_models: object) -> None:
        """Whatever the prompt is attached to will do."""


def classifier(
    prompted: Answering, kind: str, task: Task, readout: Readout, *, name: str, options: Mapping[str, object]
) -> PromptPipeline:
    """The pipeline of a prompt.

    Args:
        prompted: the model that it is attached to.
        kind: the pipeline's name.
        task: of the prompt.
        readout: of the prompt.
        name: that it is attached under.
        options: of the pipeline.

    Raises:
        SoftPromptError: another pipeline than for text classification, or a task without classes.
    """
    if kind != KIND:
        raise SoftPromptError(
            f"pipeline {quoted(kind)}: {KIND} alone is made here; give transformers.pipeline the attached model for it"
        )
    if task.kind != "classification":
        raise SoftPromptError(f"pipeline: task {task.name!r} is a {task.kind} task without classes: use answer")
    make: Callable[..., PromptPipeline] = PromptPipeline
    model = Classifier(prompted, task, readout, name)
    return make(model=model, tokenizer=RowEncoding(task, readout), task=KIND, **{"device": model.device, **options})
