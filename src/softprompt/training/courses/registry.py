"""Names to courses: how a method is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from softprompt.errors import SoftPromptError, quoted
from softprompt.evaluation.score import Scores
from softprompt.guards.registry import Entry, Registry, defined
from softprompt.training.courses.work import Work

# It gives the scores of the validation rows by what it leaves in the work, where the last thing that it did was a fit.
Course: TypeAlias = Callable[[Work], Scores | None]
_C = TypeVar("_C", bound=Course)


def _of_package(name: str, given: object) -> list[tuple[str, Entry[Course]]]:
    if not callable(given):
        raise SoftPromptError(f"{quoted(given)} is no function of a Work: give the course's function")
    return [(name, Entry(given, defined(given)))]


COURSES: Registry[Course] = Registry("course", _of_package, ", or register one with @course")


def course(name: str) -> Callable[[_C], _C]:
    """Decorator: make a course known under a name, by which a method's `course` asks for it.

    A package names its courses by entry points of the group `softprompt.courses`.

    Raises:
        SoftPromptError: the name is taken by another function.
    """

    def register(function: _C) -> _C:
        COURSES.add(name, Entry(function, defined(function)))
        return function

    return register


def of(name: str) -> Course:
    """The course of a name.

    Raises:
        SoftPromptError: there is none, or the package that brings it cannot be used.
    """
    return COURSES.get(name)
