"""Trackers that show a training while it runs, by the integrations of transformers' Trainer.

Figures have the Trainer's own names, so that runs of this library stand beside those of any Trainer: `loss` and
`learning_rate` of the training, and `eval_` with each figure of the validation rows. TensorBoard, W&B and Trackio show
them as `train/loss` and `eval/accuracy`, MLflow as they are. What `metrics.json` holds is the same without a tracker.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from softprompt.errors import SoftPromptError, shown

if TYPE_CHECKING:
    from transformers import TrainerCallback

FOLDER = "tensorboard"  # of a run: TensorBoard's files, unless TENSORBOARD_LOGGING_DIR says where


def check_trackers(names: Sequence[str]) -> None:
    """Make sure that the packages of some trackers are there.

    Raises:
        SoftPromptError: one is missing, or cannot be imported here.
    """
    for name in names:
        _check(name)


def _check(name: str) -> None:
    """See that a package, which is called as its tracker, can be imported."""
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise _unusable(name, error) from None
        raise SoftPromptError(f"report_to={name}: the package is missing: pip install {name}") from None
    except Exception as error:  # whatever an old release does with a new library
        raise _unusable(name, error) from None


def _unusable(name: str, error: Exception) -> SoftPromptError:
    return SoftPromptError(f"report_to={name}: the package cannot be imported ({shown(str(error))}): update {name}")


def trackers(names: Sequence[str], folder: Path) -> list[TrainerCallback]:
    """The callbacks of some trackers.

    Args:
        names: of the trackers, whose packages are there.
        folder: for the files of one that writes some.
    """
    if not names:
        return []
    from transformers.integrations.integration_utils import (
        TensorBoardCallback,
        get_reporting_integration_callbacks,
    )

    made: list[TrainerCallback] = [kind() for kind in get_reporting_integration_callbacks(list(names))]
    for callback in made:
        if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
            callback.logging_dir = str(folder)
    return made


def reported(train_loss: float | None, rate: float, validation: Mapping[str, object]) -> dict[str, float]:
    """What trackers are told at an evaluation, under the Trainer's names.

    Args:
        train_loss: the mean since the last evaluation; None before the first step.
        rate: the learning rate of the next step.
        validation: figures of the validation rows; what is no finite number is left out.
    """
    told = {"loss": train_loss, "learning_rate": rate, **{f"eval_{name}": one for name, one in validation.items()}}
    return {name: one for name, one in told.items() if isinstance(one, int | float) and math.isfinite(one)}
