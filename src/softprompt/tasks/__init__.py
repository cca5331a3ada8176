"""Tasks: what rows are, how they become text with places, and how answers are scored."""

from softprompt.tasks.fitting import Fitted, fit
from softprompt.tasks.metrics import evaluate
from softprompt.tasks.origins import Hub, Package
from softprompt.tasks.rows import Row, Splits
from softprompt.tasks.task import Task
from softprompt.tasks.template import Field, Literal, Mask, PromptSlot, Sep, Template, Text

__all__ = [
    "Field",
    "Fitted",
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
    "fit",
]
