"""Names of a task's patterns in the place of templates: among hard prompts to compare, and in a mixture of soft words.

A hard prompt takes a pattern whole, with its label words. The members of a mixture share the task's words, so a name
stands for its text alone, and the text is what the run records.
"""

from __future__ import annotations

from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError
from softprompt.methods.base import Method
from softprompt.methods.baselines import HardPrompt
from softprompt.methods.soft_words import SoftWords
from softprompt.tasks import Task
from softprompt.tasks.patterns import Pattern, pattern_of
from softprompt.tasks.text.template import PromptSlot, Template


def named_patterns(method: Method, task: Task) -> dict[str, Pattern]:
    """The patterns that a hard prompt's templates name.

    Raises:
        SoftPromptError: the task has no pattern of such a name.
    """
    given = method.templates if isinstance(method, HardPrompt) else ()
    return {name: pattern_of(name, task.patterns, task.name) for name in given if "{" not in name}


def with_texts(method: Method, task: Task, backbone: Backbone) -> Method:
    """A mixture whose prompts are texts; any other method as it is, where what it names is there.

    Raises:
        SoftPromptError: the task has no pattern of a name, or one in a mixture answers with other words.
    """
    named_patterns(method, task)
    if not isinstance(method, SoftWords):
        return method
    texts = tuple(text if "{" in text else _text(text, task, backbone) for text in method.prompts)
    return method.model_copy(update={"prompts": texts}) if texts != method.prompts else method


def words_alone(task: Task, backbone: Backbone) -> str:
    """The task's template for the backbone, without places for virtual tokens."""
    kind = backbone.anatomy.kind
    template = task.template_for("mask" if kind == "encoder" else "text", backbone.is_encoder_decoder)
    return str(Template(tuple(part for part in template.parts if not isinstance(part, PromptSlot))))


def _text(name: str, task: Task, backbone: Backbone) -> str:
    own = task.with_template(name)
    ours, theirs = (one.label_words(backbone.is_encoder_decoder) for one in (task, own))
    if ours != theirs:
        raise SoftPromptError(
            f"prompts: pattern {name!r} of task {task.name!r} answers with {', '.join(theirs)}, and the mixture with "
            f"{', '.join(ours)}: take a pattern with the same words, or write its text"
        )
    return words_alone(own, backbone)
