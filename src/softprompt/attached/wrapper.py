"""A plain module around a frozen model: what trainers may do to it without touching the model."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from operator import methodcaller
from typing import Any, NoReturn, SupportsIndex, TypeVar

from torch import nn

from softprompt.attached.freeze import Frozen
from softprompt.backbones.bare import Wrapping
from softprompt.backbones.freed import keep_freed
from softprompt.backbones.int8 import check_exact
from softprompt.backbones.resting import device_of
from softprompt.backbones.sharding import is_split
from softprompt.errors import SoftPromptError
from softprompt.sites.footprint import Footprint
from softprompt.sites.held import changing, left
from softprompt.sites.producer import Producer

_W = TypeVar("_W", bound="Wrapper")


class Wrapper(Wrapping):
    """Trains prompts over a backbone that rests; whatever else is asked of it, the backbone answers.

    Attributes:
        backbone: the user's model.
        prompts: the producers.
    """

    def __init__(self, backbone: nn.Module, *, dropout: bool) -> None:
        """Freeze the backbone; `dropout` lets its dropout work while training."""
        super().__init__()
        self.backbone = backbone
        self.prompts: nn.ModuleList = nn.ModuleList()
        self._dropout = dropout
        # Of a module that this one is a part of, `load_state_dict` looks into the backbone, of which nothing was saved.
        self._loaded_as = ""
        methodcaller("register_load_state_dict_pre_hook", _note_prefix)(self)
        methodcaller("register_load_state_dict_post_hook", _without_backbone)(self)
        self._undo: list[Callable[[], None]] = []
        with changing():
            self._frozen = Frozen(backbone)
            self._undo.append(self._frozen.let_go)
        # A model that is dropped without `detach` must not leave its backbone changed for good.
        weakref.finalize(self, left, partial(let_all_go, self._undo)).atexit = False

    def train(self: _W, mode: bool = True) -> _W:
        """Training mode for the prompts; the frozen backbone's dropout stays off unless `dropout=True` was asked for.

        The backbone's own flags stay as they are, for others may call it: its modules ask the open call.

        Raises:
            SoftPromptError: keys and values are to be trained through reentrant checkpoints, which would drop their
                gradient, or the backbone's parameters can take no part in training, or were loaded with int8.
        """
        self.training = mode
        self.prompts.train(mode)
        first = next(self.backbone.parameters())
        if mode and first.is_inference():
            raise SoftPromptError("the backbone was made in torch.inference_mode, which cannot train: load it outside")
        if mode:
            check_exact(self.backbone)
        if mode and device_of(self.backbone).type == "cpu" and not is_split(self.backbone):
            keep_freed()
        if mode and self._frozen.reentrant and any(producer.footprint.joins for producer in self._producers):
            raise SoftPromptError(
                "keys and values get no gradient through reentrant checkpoints: pass use_reentrant=False"
            )
        return self

    def activation_checkpointing_enable(self, *args: object, **kwargs: object) -> None:
        """The model's own."""
        with self._inputs_as_they_are():
            methodcaller("activation_checkpointing_enable", *args, **kwargs)(self.backbone)
        self.train(self.training)

    def gradient_checkpointing_enable(self, *args: object, **kwargs: object) -> None:
        """The model's own."""
        with self._inputs_as_they_are():
            methodcaller("gradient_checkpointing_enable", *args, **kwargs)(self.backbone)
        self.train(self.training)

    def enable_input_require_grads(self) -> None:
        """Nothing to do: the prompts require gradient themselves, and nothing below them needs one."""

    @contextmanager
    def _inputs_as_they_are(self) -> Iterator[None]:
        """Checkpointing would make the model's inputs require gradient too, with hooks that stay."""
        with changing():
            self.backbone.__dict__["enable_input_require_grads"] = self.enable_input_require_grads
            try:
                yield
            finally:
                del self.backbone.__dict__["enable_input_require_grads"]

    def state_dict(self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """The prompts' parameters alone."""
        return self.prompts.state_dict(*args, destination=destination, prefix=f"{prefix}prompts.", keep_vars=keep_vars)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take what `state_dict` gave."""
        own = {key.removeprefix("prompts."): value for key, value in state_dict.items()}
        return self.prompts.load_state_dict(own, strict=strict, assign=assign)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("backbone"), name)

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refused: a prompt's file is small, and no pickle.

        Raises:
            SoftPromptError: always.
        """
        raise SoftPromptError(
            "an attached model is not pickled: save the prompt with softprompt.save and load it where it is needed, or "
            "pickle the backbone"
        )

    @property
    def takes_prefixes(self) -> bool:
        """Whether keys and values may stand in a call, also where no prompt has any."""
        return False

    @property
    def footprints(self) -> list[Footprint]:
        """What each of the prompts occupies."""
        return [one.footprint for one in self._producers]

    @property
    def _producers(self) -> list[Producer]:
        return [one for one in self.prompts if isinstance(one, Producer)]


def _note_prefix(wrapper: nn.Module, state: object, prefix: str, *_: object) -> None:
    assert isinstance(wrapper, Wrapper)
    wrapper._loaded_as = prefix


def _without_backbone(wrapper: nn.Module, keys: Any) -> None:
    assert isinstance(wrapper, Wrapper)
    own = f"{wrapper._loaded_as}backbone."
    keys.missing_keys[:] = [key for key in keys.missing_keys if not key.startswith(own)]


def let_all_go(undo: list[Callable[[], None]]) -> None:
    """Undo what was done to a backbone, the last first, once; inside `held.changing`."""
    while undo:
        undo.pop()()
