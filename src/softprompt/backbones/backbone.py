"""`Backbone`: a frozen model and its tokenizer as one value, and what is known of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from enum import Enum, auto
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar, cast, overload

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from softprompt.backbones.anatomy import Anatomy, read_anatomy
from softprompt.backbones.bare import Pair
from softprompt.backbones.fingerprint import Fingerprint, fingerprint
from softprompt.backbones.heads import has_lm_head
from softprompt.backbones.packed import keep_trainable
from softprompt.backbones.resting import device_of
from softprompt.backbones.settings import usual_settings
from softprompt.backbones.wrapped import unwrapped
from softprompt.errors import SoftPromptError

SITES = ("stream", "hidden", "attention")

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Backbone(Pair):
    """A frozen model and its tokenizer; whatever takes `model, tokenizer` takes a `Backbone` in their place.

    It is that pair, so that `model, tokenizer = backbone` goes on working, and holds nothing else but a name. What it
    tells of the model is read once and again as soon as the model is another: `anatomy` goes by modules, shapes and
    configuration, `fingerprint` by every number of the weights.

    Args:
        model: a transformers model; of one that PEFT wraps, the model inside is taken, with the adapters in it.
        tokenizer: its tokenizer; None where no text is going to be read.
        name: for records and messages; by default the model's own (`config.name_or_path`), else its family.

    Raises:
        SoftPromptError: these are no model and tokenizer, or what wraps the model takes part in calls.

    Example:
        >>> backbone = sp.Backbone(model, tokenizer)
        >>> backbone.kind, backbone.sites
        ('causal', ('stream', 'hidden', 'attention'))
    """

    _name: str

    def __new__(cls, model: nn.Module, tokenizer: PreTrainedTokenizerBase | None, name: str = "") -> Backbone:
        """See the class."""
        _check("Backbone", model, tokenizer)
        # What is no PreTrainedModel has its family's reader (`register_anatomy`) and is used as one.
        pair = (cast("PreTrainedModel", unwrapped(model)), cast("PreTrainedTokenizerBase", tokenizer))
        keep_trainable(pair[0])
        made = super().__new__(cls, pair)
        made._name = name
        return made

    def __getnewargs__(self) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, str]:
        return self.model, self.tokenizer, self._name

    def __repr__(self) -> str:
        return f"Backbone({self.name!r})"

    @property
    def name(self) -> str:
        """As it was given, or the model's own."""
        config = getattr(self.model, "config", None)
        return self._name or getattr(config, "name_or_path", "") or getattr(config, "model_type", "")

    def named(self, name: str | None) -> Backbone:
        """The same under another name; None leaves it."""
        return self if name is None else Backbone(self.model, self.tokenizer, name)

    @property
    def anatomy(self) -> Anatomy:
        """Where its parts are, and its sizes.

        Raises:
            SoftPromptError: the family follows no known anatomy.
        """
        return read_anatomy(self.model)

    @property
    def fingerprint(self) -> Fingerprint:
        """What it is: family, sizes and a hash over all weights.

        Raises:
            SoftPromptError: weights are not in memory (offloaded to a disk).
        """
        return fingerprint(self.model)

    @property
    def family(self) -> str:
        """Its `config.model_type`."""
        return self.anatomy.family

    @property
    def kind(self) -> str:
        """`causal`, `encoder` or `encoder-decoder`."""
        return self.anatomy.kind

    @property
    def is_encoder_decoder(self) -> bool:
        """Whether it has an encoder and a decoder."""
        return self.anatomy.kind == "encoder-decoder"

    @property
    def has_lm_head(self) -> bool:
        """Whether it gives vocabulary logits."""
        return has_lm_head(self.model)

    @property
    def device(self) -> torch.device:
        """Where its weights are, or are fetched to for a call (the first of them, where they are spread)."""
        return device_of(self.model)

    @property
    def dtype(self) -> torch.dtype:
        """Of its weights."""
        return next(one.dtype for one in self.model.parameters() if one.is_floating_point())

    @property
    def sites(self) -> tuple[str, ...]:
        """Those of `stream`, `hidden` and `attention` that it can serve."""
        return tuple(site for site in SITES if self.refusal(site) is None)

    def refusal(self, site: str) -> str | None:
        """Why it cannot serve a site, with the mend; None where it can."""
        try:
            self.anatomy.require_site(site)
        except SoftPromptError as error:
            return str(error)
        return None


class TakesBackbone(Protocol[P, R_co]):
    """A function of a `Backbone`, or of a model and its tokenizer in its place."""

    @overload
    def __call__(self, model: Backbone, /, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    @overload
    def __call__(
        self, model: nn.Module, tokenizer: PreTrainedTokenizerBase | None, /, *args: P.args, **kwargs: P.kwargs
    ) -> R_co: ...


def takes_backbone(function: Callable[Concatenate[Backbone, P], R]) -> TakesBackbone[P, R]:
    """Let a function of a `Backbone` take `model, tokenizer` in its place, by position or by these names.

    What it makes is made under torch's usual settings.

    Args:
        function: its first parameter is `model`, the `Backbone`.
    """

    @wraps(function)
    def taking(*args: Any, **kwargs: Any) -> R:
        rest, given = list(args), dict(kwargs)
        model = rest.pop(0) if rest else given.pop("model", MISSING)
        # Nothing but a tokenizer, or None for none, comes second where a model came first.
        follows = not isinstance(model, Backbone) or rest[:1] == [None] or _is_tokenizer(rest[:1])
        tokenizer = given.pop("tokenizer", MISSING)
        if tokenizer is MISSING and rest and follows:
            tokenizer = rest.pop(0)
        with usual_settings():
            return function(backbone_of(function.__name__, model, tokenizer), *rest, **given)

    own = inspect.signature(function)
    model, *others = own.parameters.values()
    pair = [inspect.Parameter(name, model.POSITIONAL_OR_KEYWORD) for name in ("model", "tokenizer")]
    vars(taking)["__signature__"] = own.replace(parameters=[*pair, *others])  # as `help` shows it
    return cast("TakesBackbone[P, R]", taking)


def _is_tokenizer(rest: Sequence[object]) -> bool:
    return bool(rest) and isinstance(rest[0], PreTrainedTokenizerBase)


class Missing(Enum):
    """Stands for an argument that was not given, where None is one."""

    MISSING = auto()


MISSING: Final = Missing.MISSING


def backbone_of(caller: str, model: object, tokenizer: object = MISSING) -> Backbone:
    """The `Backbone` of what a public call was given.

    Args:
        caller: the call's name, for the message.
        model: a `Backbone`, or a model.
        tokenizer: the model's; left out with a `Backbone`.

    Raises:
        SoftPromptError: there is neither.
    """
    if isinstance(model, Backbone):
        if tokenizer is not MISSING:
            raise SoftPromptError(f"{caller}: the Backbone brings its tokenizer: leave `tokenizer` out")
        return model
    _check(caller, model, tokenizer)
    own = getattr(tokenizer, "tokenizer", None)  # a processor, of text and images or sounds, brings one
    tokenizer = own if isinstance(own, PreTrainedTokenizerBase) else tokenizer
    return Backbone(cast("nn.Module", model), cast("PreTrainedTokenizerBase", tokenizer))


_EITHER = "give `model, tokenizer`, or a Backbone in their place"


def _check(caller: str, model: object, tokenizer: object) -> None:
    """Refuse what is no pair of a model and its tokenizer."""
    if model is MISSING:
        raise SoftPromptError(f"{caller}: there is no model: {_EITHER}")
    if isinstance(model, tuple | list):
        raise SoftPromptError(f"{caller}: a {type(model).__name__} stands where the model belongs: {_EITHER}")
    if isinstance(model, str):
        raise SoftPromptError(f"{caller}: {model!r} is a name: load_backbone({model!r}) gives the backbone")
    if not isinstance(model, nn.Module):
        told = type(model).__name__
        raise SoftPromptError(f"{caller}: {told} stands where the model belongs: {_EITHER}")
    if tokenizer is MISSING:
        raise SoftPromptError(f"{caller}: the tokenizer is missing: {_EITHER}")
    if tokenizer is not None and (isinstance(tokenizer, nn.Module) or not callable(tokenizer)):
        told = type(tokenizer).__name__
        raise SoftPromptError(f"{caller}: {told} stands where the tokenizer belongs: {_EITHER}")
