"""The frozen backbone's flags while prompts are attached."""

from __future__ import annotations

from torch import nn

from softprompt.backbones.compat import CHECKPOINT, CHECKPOINTING, GradientCheckpointingLayer
from softprompt.backbones.folded import adapted
from softprompt.sites.asking import TRAINING
from softprompt.sites.held import hold
from softprompt.sites.recompute import InCall


class Frozen:
    """A backbone whose parameters take no gradient and whose dropout rests, until it is let go of.

    Gradient, training and checkpointing flags are set aside, whoever changes them meanwhile. Where a call trains with
    the backbone's dropout, or through checkpoints, its modules learn that from the call (`Call.trains`).
    """

    def __init__(self, model: nn.Module) -> None:
        """Freeze, inside `held.changing`.

        Args:
            model: the backbone.
        """
        self._model = model
        self._tensors = dict(model.named_parameters())
        self.modules = list(model.modules())
        self._checkpointing = [module for module in self.modules if hasattr(module, CHECKPOINTING)]
        self._adapters = [one for layer in adapted(model) for one in layer.parameters() if not one.is_inference()]
        self._undo = [
            # Flags of tensors that were made in inference mode cannot be set outside of it.
            hold([one for one in self._tensors.values() if not one.is_inference()], "requires_grad", False),
            hold(self.modules, TRAINING, False),
            hold(self._checkpointing, CHECKPOINTING),
            hold(self._checkpointing, CHECKPOINT),
        ]

    @property
    def layers(self) -> list[nn.Module]:
        """The layers that can checkpoint, which they do only while they train."""
        return [module for module in self._checkpointing if isinstance(module, GradientCheckpointingLayer)]

    @property
    def reentrant(self) -> bool:
        """Whether some layer checkpoints in torch's older, reentrant form."""
        functions = (
            module.__dict__.get(CHECKPOINT) for module in self._checkpointing if getattr(module, CHECKPOINTING)
        )
        inner = (one.inner if isinstance(one, InCall) else one for one in functions)
        return any(getattr(one, "keywords", {}).get("use_reentrant") is True for one in inner)

    def recompute_in_calls(self) -> None:
        """See that whatever checkpoints now will recompute in the call that it ran in."""
        for module in self._checkpointing:
            function = module.__dict__.get(CHECKPOINT)
            if function is not None and not isinstance(function, InCall):
                module.__dict__[CHECKPOINT] = InCall(function)

    def rest(self) -> None:
        """See that adapters of PEFT take no gradient: choosing one, or switching them back on, makes them trainable."""
        for one in self._adapters:
            if one.requires_grad:
                one.requires_grad_(False)

    def let_go(self) -> None:
        """Give every flag its old value, unless others hold it too; inside `held.changing`."""
        while self._undo:
            self._undo.pop()()
        for name, parameter in self._model.named_parameters():
            own = self._tensors.get(name, parameter)
            if own is not parameter:  # the user resized it, and it took over that it rests
                parameter.requires_grad_(own.requires_grad)
