"""Names to courses: how a method is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from softprompt.errors import SoftPromptError
from softprompt.training.courses.work import Work

Course = Callable[[Work], None]
_COURSES: dict[str, Course] = {}
_C = TypeVar("_C", bound=Course)


def course(name: str) -> Callable[[_C], _C]:
    """Decorator: make a course known under a name, by which a method's `course` asks for it.

    Raises:
        SoftPromptError: the name is taken by another function.
    """

    def register(function: _C) -> _C:
        taken = _COURSES.get(name)
        if taken is not None and (taken.__module__, taken.__qualname__) != (
            function.__module__,
            function.__qualname__,
        ):
            raise SoftPromptError(f"a course named {name!r} is registered already: choose another name")
        _COURSES[name] = function
        return function

    return register


def of(name: str) -> Course:
    """The course of a name.

    Raises:
        SoftPromptError: there is none.
    """
    if name not in _COURSES:
        raise SoftPromptError(
            f"no course named {name!r}: choose from {', '.join(sorted(_COURSES))}, or register one with @course"
        )
    return _COURSES[name]
