"""`onnx`: an encoder with its prompt and its readout as one graph, from ids to the probabilities of the labels.

The graph is that of the attached model itself, as torch traces it: what makes its vectors of each text (CaPT, SPT) is
in it. Rows and columns are free. Before anything is kept, onnxruntime's answers are compared with ours.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from softprompt.attached.model import PromptedModel
from softprompt.carrying.chat_templates import chat_template, check_template, template_refusal
from softprompt.carrying.format import Format
from softprompt.carrying.programs import fields_of
from softprompt.carrying.readme import write_readme
from softprompt.errors import SoftPromptError
from softprompt.files import strict_json
from softprompt.readouts.base import Readout
from softprompt.readouts.columns_head import ColumnsHead
from softprompt.readouts.head import Head
from softprompt.readouts.label_words import LabelWords
from softprompt.sites.modes import evaluating
from softprompt.storage.prompt import Prompt

_TOLERANCE = 1e-4
_SHAPES = ((2, 7), (1, 4), (3, 9))  # rows and columns: the first is traced, all are compared


def onnx_refusal(prompt: Prompt) -> str | None:
    """Why a prompt is no graph of this kind."""
    readout = prompt.readout
    if prompt.backbone.kind != "encoder":
        return "only classification with an encoder goes into one graph"
    if prompt.task is None or readout is None:
        return "there is no task whose answers the graph could give"
    if isinstance(readout, ColumnsHead) or not isinstance(readout, Head | LabelWords) or readout.bounds:
        return "its answers are no label of a whole text"
    if isinstance(readout, Head) and readout.row_encoder.template.has_choice:
        return "its answers are choices that each row brings"
    if prompt.producer.footprint.around or readout.row_encoder.template.slots:
        return "its template has places of its own for the virtual tokens"
    return template_refusal(prompt)


class Classifier(nn.Module):
    """An attached encoder and the readout of its prompt: ids and their mask in, probabilities out."""

    def __init__(self, prompted: PromptedModel, readout: Head | LabelWords) -> None:
        """See the class."""
        super().__init__()
        self.prompted, self.readout = prompted, readout

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The probabilities of the labels.

        Args:
            input_ids: `(B, N)`, with the special tokens and the mask of the template.
            attention_mask: `(B, N)`.

        Returns:
            fp32, `(B, labels)`.
        """
        readout = self.readout
        given = {"input_ids": input_ids, "attention_mask": attention_mask}
        if isinstance(readout, LabelWords):
            column = input_ids.eq(torch.tensor(readout.row_encoder.mask_id)).long().argmax(-1)
            logits = self.prompted(**given).logits
            read = logits.gather(1, column[:, None, None].expand(-1, 1, logits.shape[-1]))[:, 0].float()
        else:
            read = _pooled(self.prompted.states(**given).float(), attention_mask, readout.pooling)
        scores = readout.scores(read, {})
        return (scores if readout.calibration is None else scores + readout.calibration).softmax(-1)


def _pooled(states: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """What `Head.features` reads of states `(B, N, H)`, in rows that are padded behind."""
    if pooling == "first":
        return states[:, 0]
    weight = mask.to(states.dtype)[..., None]
    if pooling == "mean":
        return (states * weight).sum(1) / weight.sum(1)
    return states.gather(1, (mask.sum(-1) - 1)[:, None, None].expand(-1, 1, states.shape[-1]))[:, 0]


@torch.no_grad()
def write_onnx(prompts: Mapping[str, Prompt], folder: Path) -> None:
    """Write the graph, the tokenizer with the template, the labels and a README.

    Raises:
        SoftPromptError: a package is missing, torch cannot trace the prompt, or the graph answers otherwise.
    """
    ((name, prompt),) = prompts.items()
    task, readout = prompt.asked()
    runtime, template = _runtime(), chat_template(prompt, ())
    check_template(name, prompt, prompt.tokenizer, template, ())
    assert isinstance(readout, Head | LabelWords)
    path = folder / "model.onnx"
    with prompt.attached() as prompted, _quietly(prompted, readout):
        whole = Classifier(prompted, readout)
        given = [_rows(shape, readout) for shape in _SHAPES]
        limit = readout.row_encoder.limit - prompt.producer.count
        free = {0: torch.export.Dim("rows"), 1: torch.export.Dim("columns", min=2, max=limit)}
        try:
            torch.onnx.export(
                whole, given[0], path, dynamo=True, verbose=False, external_data=False, dynamic_shapes=(free, free),
                input_names=["input_ids", "attention_mask"], output_names=["probabilities"],
            )  # fmt: skip
        except Exception as error:  # torch raises what it likes
            told = (str(error.__cause__ or error).strip().splitlines() or [type(error).__name__])[0]
            raise SoftPromptError(f"{name}: torch cannot trace this prompt ({told}): softprompt serve has it") from None
        session = runtime.InferenceSession(str(path))
        for ids, mask in given:
            (found,) = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
            apart = float((torch.from_numpy(found) - whole(ids, mask)).abs().max())
            if not apart < _TOLERANCE:
                raise SoftPromptError(f"{name}: onnxruntime's answers are {apart:.2g} apart: softprompt serve has it")
    tokenizer = copy.deepcopy(prompt.tokenizer)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    labels: dict[str, JsonValue] = {"labels": [*task.label_values]}
    (folder / "labels.json").write_text(strict_json.dumps(labels) + "\n", encoding="utf-8")
    write_readme(folder, {"": prompt}, "onnx", _program(prompt))


def _runtime() -> ModuleType:
    """onnxruntime, where all that is needed is installed."""
    try:
        return [import_module(name) for name in ("onnx", "onnxscript", "onnxruntime")][-1]
    except ImportError as error:
        raise SoftPromptError(f"onnx needs {error.name}: pip install 'softprompt[onnx]'") from None


@contextmanager
def _quietly(prompted: PromptedModel, readout: Readout) -> Iterator[None]:
    """In evaluation mode, on which the trace depends, and without what torch tells of its own parts."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with evaluating(prompted, readout), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _rows(shape: tuple[int, int], readout: Head | LabelWords) -> tuple[Tensor, Tensor]:
    """Ids and a mask `(B, N)`, the last row shorter, and a mask token in each."""
    ids = torch.arange(1, 1 + shape[0] * shape[1]).view(shape) % 50 + 5
    ids[:, 1] = ids[:, 1] if readout.row_encoder.mask_id is None else readout.row_encoder.mask_id
    mask = torch.ones_like(ids)
    mask[-1, -2:] = 0
    return ids, mask


def _program(prompt: Prompt) -> list[str]:
    return [
        "```python",
        "import onnxruntime",
        "from transformers import AutoTokenizer",
        "",
        'folder = "this folder"',
        "tokenizer = AutoTokenizer.from_pretrained(folder)",
        f"message = { ({'role': 'user', **fields_of(prompt)})!r}",
        'row = tokenizer.apply_chat_template([message], return_dict=True, return_tensors="np")',
        'given = {name: row[name] for name in ("input_ids", "attention_mask")}',
        'session = onnxruntime.InferenceSession(f"{folder}/model.onnx")',
        "chances = session.run(None, given)[0][0]",
        f"labels = {[*(prompt.task.label_values if prompt.task else ())]!r}",
        "print(labels[int(chances.argmax())])",
        "```",
    ]


ONNX = Format(onnx_refusal, write_onnx)
