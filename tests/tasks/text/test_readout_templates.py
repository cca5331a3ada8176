"""The template that each kind of readout reads."""

from __future__ import annotations

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Mask, Task
from softprompt.tasks.text.template import Literal

from ...shared.tables import told


def test_templates_that_a_readout_cannot_use() -> None:
    task = Task(template="{mask}: {text}", labels=["x", "y"], templates={"head": "{text} {mask}"})
    with pytest.raises(SoftPromptError) as error:
        task.template_for("text")
    told(error, "goes on after {mask}", "templates")
    with pytest.raises(SoftPromptError) as error:
        task.template_for("head")
    told(error, "for a head")
    with pytest.raises(SoftPromptError) as error:
        Task(template="{text}", labels=["x", "y"]).template_for("mask")
    told(error, "no {mask}")


def test_the_answer_follows_a_template_without_a_mask() -> None:
    assert Task(template="{a}", labels=["x", "y"]).template_for("text").parts[-2:] == (Literal(" "), Mask())
    assert Task(template="{a}\n", labels=["x", "y"]).template_for("text").parts[-2:] == (
        Literal("\n"),
        Mask(),
    )
