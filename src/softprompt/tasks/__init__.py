"""Tasks: what rows are, how they become text with places, and how answers are scored."""

from typing import TYPE_CHECKING

from softprompt.guards.old_names import old_name
from softprompt.tasks.origins import Hub, Package
from softprompt.tasks.registry import register_task
from softprompt.tasks.rows import Row, Splits
from softprompt.tasks.scoring import evaluate
from softprompt.tasks.task import Task
from softprompt.tasks.text.fitting import FittedText, fit_text
from softprompt.tasks.text.template import Field, Literal, Mask, PromptSlot, Sep, Template, Text

__all__ = [
    "Field",
    "FittedText",
    "Hub",
    "Literal",
    "Mask",
    "Package",
    "PromptSlot",
    "Row",
    "Sep",
    "Splits",
    "Task",
    "Template",
    "Text",
    "evaluate",
    "fit_text",
    "register_task",
]

if TYPE_CHECKING:
    Fitted, fit = FittedText, fit_text
else:

    def __getattr__(name: str) -> object:
        return old_name(__name__, name)
