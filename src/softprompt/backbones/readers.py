"""Who reads a family's models: what was registered for it, or the library itself.

A family is what a model's own configuration calls it (`config.model_type`). A model that wraps a language model is of
another family than the language model alone, whatever `config.get_text_config()` says: what is registered for it is no
reader of plain Llama.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Generic, TypeVar

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards.kinds import check_kind

T = TypeVar("T")


class Readers(Generic[T]):
    """Functions from a model to what is read off it, by family.

    Attributes:
        known: by family, as registered.
    """

    def __init__(self) -> None:
        """None is registered."""
        self.known: dict[str, Callable[[nn.Module], T]] = {}
        self._at_work: ContextVar[frozenset[str]] = ContextVar("softprompt_readers", default=frozenset())

    def register(self, family: str, read: Callable[[nn.Module], T]) -> None:
        """Use `read` for a family; what it asks about models of its family itself, the library reads."""
        check_kind("register_anatomy", "family", family, str)
        if not callable(read):
            raise SoftPromptError(
                f"register_anatomy: {quoted(read, 80)} cannot be called: give a function of the model"
            )

        def alone(model: nn.Module) -> T:
            token = self._at_work.set(self._at_work.get() | {family})
            try:
                return read(model)
            finally:
                self._at_work.reset(token)

        self.known[family] = alone

    def of(self, model: nn.Module, usual: Callable[[nn.Module], T]) -> Callable[[nn.Module], T]:
        """The reader of a model: `usual` where none is registered, or where it is that one who asks."""
        family = family_of(model)
        return usual if family in self._at_work.get() else self.known.get(family, usual)


def family_of(model: nn.Module) -> str:
    """A model's family, as it is registered and named in messages."""
    return str(_own(model).model_type)


def text_configuration(model: nn.Module) -> PreTrainedConfig:
    """The configuration of a model's language model."""
    found = _own(model)
    config: PreTrainedConfig = found.get_text_config() if hasattr(found, "get_text_config") else found
    return config


def _own(model: nn.Module) -> PreTrainedConfig:
    found: PreTrainedConfig | None = getattr(model, "config", None)
    if found is None:
        part = next((path for path, one in model.named_modules() if isinstance(one, PreTrainedModel)), None)
        mend = "attach a transformers model" if part is None else f"attach to the model in it (`.{part}`)"
        raise SoftPromptError(f"{type(model).__name__} has no `config`: {mend}")
    if not hasattr(found, "model_type"):
        told = f"{type(model).__name__} has a {type(found).__name__} for its `config`"
        raise SoftPromptError(f"{told}, none of transformers': attach a transformers model")
    return found
