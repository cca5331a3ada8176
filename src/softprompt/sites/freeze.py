"""The frozen backbone's flags while prompts are attached, and their return to what they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

_CHECKPOINTING = ("gradient_checkpointing", "_gradient_checkpointing_func")


class Frozen:
    """A backbone whose parameters take no gradient and whose dropout rests, until `restore`.

    Gradient, training and checkpointing flags are set aside, whoever changes them meanwhile.
    """

    def __init__(self, model: nn.Module, *, dropout: bool) -> None:
        """Freeze.

        Args:
            model: the backbone.
            dropout: let its dropout work while training.
        """
        self._model = model
        self._dropout = dropout
        self._gradients = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
        self._training = [(module, module.training) for module in model.modules()]
        self._checkpointing = [
            (module, {name: module.__dict__[name] for name in _CHECKPOINTING if name in module.__dict__})
            for module in model.modules()
            if hasattr(module, "gradient_checkpointing")
        ]
        for parameter, _ in self._gradients:
            parameter.requires_grad_(False)

    def train(self, mode: bool) -> None:
        """Follow the attached model's training mode.

        Only layers that checkpoint must believe that they train, or they keep what they should recompute; while they
        compute, their dropout rests all the same.
        """
        self._model.train(mode and self._dropout)
        if self._dropout:
            return
        for layer in self._checkpointing_layers():
            layer.training = mode
            function = layer._gradient_checkpointing_func
            if not isinstance(function, _Calm):
                layer._gradient_checkpointing_func = _Calm(layer, function)  # type: ignore[arg-type, assignment]

    @property
    def reentrant(self) -> bool:
        """Whether some layer checkpoints in torch's older, reentrant form."""
        functions = (layer._gradient_checkpointing_func for layer in self._checkpointing_layers())
        inner = (f.inner if isinstance(f, _Calm) else f for f in functions)
        return any(getattr(f, "keywords", {}).get("use_reentrant") is True for f in inner)

    def restore(self) -> None:
        """Give every flag its old value."""
        for parameter, requires_grad in self._gradients:
            parameter.requires_grad_(requires_grad)
        for module, training in self._training:
            module.training = training
        for module, flags in self._checkpointing:
            for name in _CHECKPOINTING:
                module.__dict__.pop(name, None)
            module.__dict__.update(flags)

    def _checkpointing_layers(self) -> list[nn.Module]:
        return [
            module
            for module in self._model.modules()
            if isinstance(module, GradientCheckpointingLayer) and module.gradient_checkpointing
        ]


class _Calm:
    """A layer's checkpointing function, inside which the layer does not train: no dropout, now or when recomputed."""

    def __init__(self, layer: nn.Module, inner: Callable[..., Any]) -> None:
        self.layer, self.inner = layer, inner

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        def calmly(*inputs: Any, **keywords: Any) -> Any:
            training, self.layer.training = self.layer.training, False
            try:
                return function(*inputs, **keywords)
            finally:
                self.layer.training = training

        return self.inner(calmly, *args, **kwargs)
