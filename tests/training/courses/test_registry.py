"""Courses by name: each method's is there, and a name that is not is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.methods import PromptTuning
from softprompt.methods.base import Method
from softprompt.training import courses
from softprompt.training.courses import course
from softprompt.training.courses.registry import COURSES

from ...shared.runs import run


def test_the_registry() -> None:
    assert {"fit", "xprompt", "autoprompt", "hard_prompt"} <= set(COURSES.all())
    with pytest.raises(SoftPromptError, match="no course named 'magic': choose from autoprompt, fit"):
        courses.of("magic")
    with pytest.raises(SoftPromptError, match="registered already"):
        course("fit")(lambda work: None)


def test_an_unknown_course_is_one_clear_line(tmp_path: Path) -> None:
    class Lost(PromptTuning):
        course = "lost"  # type: ignore[misc]

    with pytest.raises(SoftPromptError, match="register one with @course"):
        run(tmp_path, "llama", Lost(num_virtual_tokens=2))


def test_every_method_names_a_course_that_there_is() -> None:
    from softprompt.methods import methods

    for cls in methods(installed=False).values():
        assert issubclass(cls, Method)
        assert courses.of(cls.course)
