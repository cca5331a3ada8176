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
from softprompt.sites.wrapped import changes_weights

_W = TypeVar("_W", bound="Wrapper")
# What PEFT's users call on a model, and what does it here (docs: From PEFT).
_OF_PEFT = {
    "print_trainable_parameters": "prompted.num_parameters(only_trainable=True) counts what is trained",
    "get_nb_trainable_parameters": "prompted.num_parameters(only_trainable=True) counts what is trained",
    "disable_adapter": "call the model itself, prompted.backbone, which never changed",
    "get_base_model": "it is prompted.backbone",
    "unload": "prompted.detach() gives the model back as it was",
    "merge_and_unload": "a prompt is no weight; prompted.detach() gives the model back, and sp.export carries a prompt",
    "active_adapter": "prompted.names are the attached prompts, and prompted(..., prompts=NAME) takes one",
    "peft_config": "prompted.sources has the method of each attached prompt by its name",
}


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
            SoftPromptError: keys and values, or weights, are to be trained through reentrant checkpoints, which would
                drop their gradient, or the backbone's parameters can take no part in training, or were loaded with
                int8.
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
        if mode and self._frozen.reentrant:
            self._check_reentrant()
        return self

    def _check_reentrant(self) -> None:
        """Refuse what gets no gradient where a layer's input is all that a checkpoint looks at."""
        first = methodcaller("get_input_embeddings")(self.backbone)
        for producer in self._producers:
            weights = changes_weights(producer) and first not in producer.stand_ins(self.backbone)
            if weights or producer.footprint.joins:
                what = "weights inside layers" if weights else "keys and values"
                raise SoftPromptError(f"{what} get no gradient through reentrant checkpoints: pass use_reentrant=False")

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
            backbone = super().__getattr__("backbone")
        if name in _OF_PEFT and not hasattr(backbone, name):
            raise AttributeError(f"an attached model has no {name!r}: {_OF_PEFT[name]}")
        return getattr(backbone, name)

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """How many parameters the model and its prompts have, or those of them that are trained: the prompts'.

        Args:
            only_trainable: count what requires gradient alone.
            exclude_embeddings: as the model's own; a prompt's are no embeddings of words.
        """
        own = sum(one.numel() for one in self.prompts.parameters() if one.requires_grad or not only_trainable)
        counted = methodcaller("num_parameters", only_trainable, exclude_embeddings)(self.backbone)
        return own + int(counted)

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
