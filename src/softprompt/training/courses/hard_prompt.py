"""Hard prompts: templates compared on the validation rows, scores calibrated; see `softprompt.methods.baselines`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

import torch
from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.evaluation.score import Scores
from softprompt.inference.predict import predict
from softprompt.methods.baselines import HardPrompt
from softprompt.readouts import Item
from softprompt.training.courses.registry import course
from softprompt.training.courses.templates import in_words, template_of
from softprompt.training.courses.work import Work

# Zhao et al. 2021: the average over these is robust where a single one is not.
CONTENT_FREE = ("N/A", "", "[MASK]")
_LEAST = 1e-38  # a probability that came out as zero still has a logarithm


class Calibrated(TypedDict):
    """A template that was tried.

    Attributes:
        calibration: the constants b, `(classes,)`; None without a calibration.
        validation: metrics of the validation rows; empty where there is but one template.
    """

    calibration: list[float] | None
    validation: Scores


@course("hard_prompt")
def hard_prompt(work: Work) -> None:
    """Choose a template and calibrate; without these options nothing is done."""
    method = work.method
    assert isinstance(method, HardPrompt)
    if not method.templates and method.calibration == "none":
        return
    own = work.task
    # The task's own template stands first, so it wins ties.
    tasks = [own, *(in_words(own, template) for template in dict.fromkeys(method.templates))]
    tried: list[dict[str, object]] = []
    best: tuple[int, Calibrated] | None = None
    for index, task in enumerate(tasks):
        work.check("between two templates")
        if index:
            work.replace(task=task)
        found = work.once(f"template-{index}", lambda: _calibrated(work, method))
        tried.append({"template": str(template_of(work.readout)), **found})
        if best is None or work.better(found["validation"], best[1]["validation"]):
            best = index, found
    assert best is not None
    chosen, bias = best[0], best[1]["calibration"]
    if chosen != len(tasks) - 1:
        work.replace(task=tasks[chosen])
    if bias is not None:
        work.readout.calibration = torch.tensor(bias)
        work.report["calibration"] = dict(zip(work.task.label_values, bias, strict=True))
    if method.templates:
        work.report["template"] = str(template_of(work.readout))
        work.report["templates"] = tried


def _calibrated(work: Work, method: HardPrompt) -> Calibrated:
    """The calibration of the readout that stands, and its metrics on the validation rows."""
    bias = None
    if method.calibration != "none":
        _check(work)
        logs = _content_free(work) if method.calibration == "contextual" else log_probabilities(work, work.items)
        bias = contextual(logs) if method.calibration == "contextual" else median(logs)
        work.readout.calibration = bias
    needed = bool(method.templates)
    return {"calibration": None if bias is None else bias.tolist(), "validation": work.measure() if needed else {}}


def contextual(logs: Tensor) -> Tensor:
    """The constants b, `(classes,)`, from log-probabilities of content-free inputs, `(inputs, classes)`."""
    return -logs.exp().mean(0).clamp(min=_LEAST).log()


def median(logs: Tensor) -> Tensor:
    """The constants b, `(classes,)`, from log-probabilities of unlabelled rows, `(rows, classes)`."""
    centred = logs - logs.mean(-1, keepdim=True)
    return -centred.quantile(0.5, dim=0)


def log_probabilities(work: Work, items: Sequence[Item]) -> Tensor:
    """Log-probabilities of the classes before any calibration, `(rows, classes)`, fp32."""
    work.readout.calibration = None
    size = work.options.eval_batch_size
    found = predict(work.prompted, work.readout, [item.row for item in items], batch_size=size, items=items)
    return torch.tensor([[math.log(max(chance, _LEAST)) for chance in one.probabilities or ()] for one in found])


def _content_free(work: Work) -> Tensor:
    row = work.rows[0]
    empty = [replace(row, fields=dict.fromkeys(row.fields, text), label=None) for text in CONTENT_FREE]
    return log_probabilities(work, [work.readout.encode(one) for one in empty])


def _check(work: Work) -> None:
    if work.task.kind != "classification":
        raise SoftPromptError(
            f"task {work.task.name!r} is of the kind {work.task.kind!r}: only the scores of classes are calibrated, "
            "so leave calibration out"
        )
