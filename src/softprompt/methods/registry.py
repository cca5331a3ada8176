"""Names to methods: the library's own, those registered by a decorator, and those of installed packages."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import ValidationError

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards.kinds import check_kind
from softprompt.guards.registry import Entry, Registry, defined
from softprompt.methods.base import Method
from softprompt.methods.options import first_fault

_M = TypeVar("_M", bound=type[Method])
_T = TypeVar("_T")


def _of_package(_: str, given: object) -> list[tuple[str, Entry[type[Method]]]]:
    """A package's method; its own name counts, not that of the entry point."""
    return [_entry(given)]


METHODS: Registry[type[Method]] = Registry("method", _of_package)


def register(method: _M) -> _M:
    """Class decorator: make a method known under its `name`.

    Raises:
        SoftPromptError: it is no method that can be used, or the name is taken by another class.

    Example:
        >>> @sp.register
        ... class ShortPrompt(sp.PromptTuning):
        ...     name = "short_prompt"
        ...     num_virtual_tokens: int = 2
        >>> sp.method("short_prompt").num_virtual_tokens
        2
    """
    METHODS.add(*_entry(method))
    return method


def methods(*, installed: bool = True) -> dict[str, type[Method]]:
    """All methods by name; with `installed` those of entry points (group `softprompt.methods`) too.

    A package whose method cannot be used fails for that name alone: see `METHODS.faults`.
    """
    return METHODS.all(installed=installed)


def method(name: str, **options: object) -> Method:
    """A method by its name, with options.

    Raises:
        SoftPromptError: an unknown name or option, or a value of the wrong type; the message lists what there is.

    Example:
        >>> sp.method("prompt_tuning", num_virtual_tokens=8).num_virtual_tokens
        8
    """
    check_kind("method", "name of a method", name, str)
    return checked(METHODS.get(name), options, f"method {name!r}")


def method_given(caller: str, given: Method | str) -> Method:
    """The method that a public call was given, itself or by its name.

    Raises:
        SoftPromptError: it is neither, or there is none of that name.
    """
    check_kind(caller, "method", given, (Method, str))
    return method(given) if isinstance(given, str) else given


def _entry(given: object) -> tuple[str, Entry[type[Method]]]:
    """The entry of a method's class.

    Raises:
        SoftPromptError: it is none, or lacks what this version asks of one.
    """
    if not (isinstance(given, type) and issubclass(given, Method)):
        raise SoftPromptError(f"{quoted(given)} is no sub-class of softprompt.Method: give the method's class")
    where = defined(given)
    wanted = ("name", "title", "url", "site", "recipes")
    missing = [name for name in wanted if not hasattr(given, name)] + sorted(given.__abstractmethods__)
    if missing:
        raise SoftPromptError(f"{where} has no {', '.join(missing)}: see softprompt.Method for what a method says")
    if "default" not in given.recipes:
        raise SoftPromptError(f"{where} has no recipe 'default': add it to its recipes")
    try:
        inspect.signature(given.build).bind(None, None)
    except TypeError:
        raise SoftPromptError(
            f"{where}: build takes something else than a BuildContext: write build(self, context)"
        ) from None
    return given.name, Entry(given, where)


def checked(model: Callable[..., _T], options: Mapping[str, object], owner: str) -> _T:
    """Build a pydantic model of options, with a one-line error that names the option.

    Raises:
        SoftPromptError: an unknown option, or a value of the wrong type.
    """
    try:
        return model(**options)
    except (ValidationError, SoftPromptError) as error:
        # Options tell their own faults under their own name.
        fault = error if isinstance(error, ValidationError) else error.__context__
        if not isinstance(fault, ValidationError):
            raise
        raise SoftPromptError(first_fault(fault, sorted(getattr(model, "model_fields", {})), owner)) from None
