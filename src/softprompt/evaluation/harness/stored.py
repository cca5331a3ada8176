"""A prompt folder as the harness's model `softprompt`: `--model softprompt --model_args prompt=FOLDER`.

The harness finds it by the entry point `lm_eval.models`. Release 0.4.13 reads no entry points of models yet (later ones
do), so there the model comes with its own program, which is the harness's: `python -m
softprompt.evaluation.harness.stored --model softprompt ...`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from softprompt.backbones.load import load_backbone
from softprompt.errors import SoftPromptError, quoted
from softprompt.evaluation.harness.model import HarnessLM
from softprompt.files.places import META, stored_prompt
from softprompt.storage.prompt import Prompt, load
from softprompt.storage.record import read_description

from lm_eval.api.registry import register_model  # isort: skip  # `model` has told what is missing

NAME = "softprompt"


@register_model(NAME)
class StoredPromptLM(HarnessLM):
    """A prompt folder on its backbone.

    Args:
        prompt: a run's folder, or a prompt's own.
        backbone: its name, folder or file; by default the one that the prompt names.
        dtype: of the backbone's weights, as `load_backbone` takes it.
        device: on which it runs. Without CUDA `cuda:0`, which the harness asks for by itself, is the CPU.
        batch_size: rows a forward pass.
        max_length: see `HarnessLM`.
        **others: none; the harness passes `max_batch_size` along, which has no part.

    Raises:
        SoftPromptError: an argument that there is not, no prompt there, a backbone that cannot be loaded, or see
            `HarnessLM`.
    """

    def __init__(
        self,
        prompt: object = None,
        backbone: str | None = None,
        *,
        dtype: str = "auto",
        device: str | None = None,
        batch_size: int | str = 1,
        max_length: int | str | None = None,
        **others: object,
    ) -> None:
        """See the class."""
        unknown = [name for name in others if name != "max_batch_size"]
        if unknown or prompt is None:
            wrong = f"there is no {quoted(unknown[0])}" if unknown else "prompt is missing"
            raise SoftPromptError(f"model_args: {wrong}: give prompt=FOLDER, and backbone=NAME where it is another")
        if device is not None and device.startswith("cuda") and not torch.cuda.is_available():
            device = None
        opened = _opened(Path(str(prompt)), backbone, dtype, device)
        super().__init__(opened.attach(), batch_size=batch_size, max_length=max_length)


def _opened(folder: Path, backbone: str | None, dtype: str, device: str | None) -> Prompt:
    path = stored_prompt(folder, "prompt")
    name = backbone if backbone is not None else read_description(path).record.backbone_name
    if name is None:
        raise SoftPromptError(f"{path / META}: does not name its backbone: give backbone=NAME in model_args")
    return load(path, load_backbone(name, dtype=dtype, device=device))


def main() -> None:
    """The harness's own program, with this model in it."""
    from lm_eval.__main__ import cli_evaluate

    try:
        cli_evaluate()
    except SoftPromptError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
