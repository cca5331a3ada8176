"""What every trainer here shares: transformers' Trainer without its noise, and checkpoints that no pickle enters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from softprompt.training import checkpoint


def arguments(folder: Path, device: torch.device, seed: int, **chosen: Any) -> TrainingArguments:
    """Trainer's arguments with its own logging, evaluation and saving off.

    Args:
        folder: where checkpoints go.
        device: of the model.
        seed: of the order of rows and of dropout.
        **chosen: any other argument.
    """
    return TrainingArguments(
        output_dir=str(folder),
        seed=seed,
        data_seed=seed,
        disable_tqdm=True,
        report_to="none",
        logging_strategy="no",
        eval_strategy="no",
        save_strategy="no",
        remove_unused_columns=False,
        use_cpu=device.type == "cpu",
        dataloader_pin_memory=device.type != "cpu",
        label_names=[],
        **chosen,
    )


class ResumableTrainer(Trainer):
    """Trainer that reads what `checkpoint.write` wrote; sub-classes load their own model's part."""

    def silence(self) -> None:
        """Take off the callbacks that print."""
        for callback in (PrinterCallback, ProgressCallback):
            self.remove_callback(callback)

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted."""
        return 0

    def _prepare_inputs(self, inputs: Any) -> Any:
        return inputs

    def _load_optimizer_and_scheduler(self, checkpoint_path: str | None) -> None:
        if checkpoint_path is not None:
            checkpoint.load_optimizer(Path(checkpoint_path), self.create_optimizer(), self.lr_scheduler)

    def _load_rng_state(self, checkpoint_path: str | None) -> None:
        if checkpoint_path is not None:
            checkpoint.load_random(Path(checkpoint_path))
