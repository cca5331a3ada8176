"""Names to methods: the library's own, those registered by a decorator, and those of installed packages."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, TypeVar

from pydantic import ValidationError

from softprompt.errors import SoftPromptError, quoted
from softprompt.methods.base import Method

ENTRY_POINTS = "softprompt.methods"
_METHODS: dict[str, type[Method]] = {}
_M = TypeVar("_M", bound=type[Method])
_state = {"loaded": False}


def register(method: _M) -> _M:
    """Class decorator: make a method known under its `name`.

    Raises:
        SoftPromptError: the name is taken by another class.
    """
    taken = _METHODS.get(method.name)
    if taken is not None and taken.__qualname__ != method.__qualname__:
        raise SoftPromptError(f"a method named {method.name!r} is registered already: choose another name")
    _METHODS[method.name] = method
    return method


def methods(*, installed: bool = True) -> dict[str, type[Method]]:
    """All methods by name; with `installed` those of entry points (group `softprompt.methods`) too."""
    if installed and not _state["loaded"]:
        _state["loaded"] = True
        for point in entry_points(group=ENTRY_POINTS):
            register(point.load())
    return dict(sorted(_METHODS.items()))


def method(name: str, **options: Any) -> Method:
    """A method by its name, with options.

    Raises:
        SoftPromptError: an unknown name or option, or a value of the wrong type; the message lists what there is.
    """
    known = methods()
    if name not in known:
        raise SoftPromptError(f"no method named {name!r}: choose from {', '.join(known)}")
    made: Method = checked(known[name], options, f"method {name!r}")
    return made


def checked(model: Callable[..., Any], options: dict[str, Any], owner: str) -> Any:
    """Build a pydantic model of options, with a one-line error that names the option.

    Raises:
        SoftPromptError: an unknown option, or a value of the wrong type.
    """
    try:
        return model(**options)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            fields = ", ".join(sorted(getattr(model, "model_fields", {})))
            raise SoftPromptError(f"{owner} has no option {name!r}: choose from {fields}") from None
        message = first["msg"].removeprefix("Value error, ")
        place = f"option {name!r} of {owner}" if name else owner
        raise SoftPromptError(f"{place}: {message} (given: {quoted(first['input'])})") from None
