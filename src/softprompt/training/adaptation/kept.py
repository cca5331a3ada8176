"""The models of an adaptation, on the disk: the last one, and those that are kept along its way.

Lester et al. 2021, section 3.2, <https://arxiv.org/abs/2104.08691>, compare prompts on T5 after 0, 10,000, 50,000 and
100,000 steps of adaptation. The rate is constant and the examples are a function of the seed and their number, so the
model kept at a step is the one that an adaptation of so many steps ends with.
"""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from softprompt.files.whole import replacing
from softprompt.training.adaptation.trainer import AdaptOptions

_MODEL, _KEPT = "model", "kept"


def place_of(folder: Path, step: int, options: AdaptOptions) -> Path:
    """Where the model of a step lies in a run's folder: `model`, or `kept/step-N` before the last step."""
    return folder / _MODEL if step == options.steps else folder / _KEPT / f"step-{step}"


def places(folder: Path, options: AdaptOptions) -> dict[int, Path]:
    """Every model that a finished run has, by its step; the last one is always among them."""
    return {step: place_of(folder, step, options) for step in sorted({*options.keep_at, options.steps})}


def write_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a model that `load_backbone` takes, beside and renamed into place.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    with replacing(folder) as beside:
        model.save_pretrained(beside)
        tokenizer.save_pretrained(beside)
