"""What a training moves: an attached prompt and its readout as one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from softprompt.attached.model import PromptedModel
from softprompt.readouts import Batch, Readout
from softprompt.sites.producer import Producer


class TrainedScalars(NamedTuple):
    """How many scalars have a gradient to follow: the prompt's own and the readout's."""

    prompt: int
    head: int


class TaskModel(nn.Module):
    """An attached prompt and its readout: what is trained. Its state holds the trained parameters alone."""

    def __init__(self, prompted: PromptedModel, readout: Readout) -> None:
        """See the class."""
        super().__init__()
        self.prompted = prompted
        self.readout = readout

    def forward(self, batch: Batch) -> Tensor:
        """The batch's mean loss, with what the prompts add to it."""
        loss = self.readout.loss(self.prompted, batch)
        for producer in self.prompted.prompts:
            assert isinstance(producer, Producer)
            penalty = producer.penalty()
            loss = loss if penalty is None else loss + penalty
        return loss

    def trained_scalars(self) -> TrainedScalars:
        """Count what would be trained now."""
        parts = self.prompted.prompts, self.readout
        return TrainedScalars(*(sum(p.numel() for p in part.parameters() if p.requires_grad) for part in parts))

    def load_state_dict(self, state_dict: Mapping[str, Tensor], strict: bool = True, assign: bool = False) -> None:
        """Take what `state_dict` gave; the attached model reads its own part."""
        for name in ("prompted", "readout"):
            own = {k.removeprefix(f"{name}."): v for k, v in state_dict.items() if k.startswith(f"{name}.")}
            getattr(self, name).load_state_dict(own, strict=strict, assign=assign)
