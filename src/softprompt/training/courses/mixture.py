"""One fit of soft words, which start from the task's own template where they were given no prompts."""

from __future__ import annotations

from softprompt.methods.soft_words import SoftWords
from softprompt.tasks.text.template import PromptSlot, Template
from softprompt.training.courses.registry import course
from softprompt.training.courses.work import Work


@course("mixture")
def mixture(work: Work) -> None:
    """Settle the prompts, train them with their weights, and tell what the mixture is worth."""
    method = work.method
    if isinstance(method, SoftWords) and not method.prompts:
        template = _own(work)
        work.replace(method=method.model_copy(update={"prompts": (template,)}))
        if not work.producer.count:
            work.show.say(
                f"  note: {method.name} trains the words of its prompts, and the task's template {template!r} has "
                "none, so that nothing of it is trained: set prompts to templates with words, as {text} It was {mask}"
            )
    work.fit()
    work.report.update(work.readout.report())


def _own(work: Work) -> str:
    """The task's template for the backbone, without places for virtual tokens."""
    kind = work.prompted.anatomy.kind
    template = work.task.template_for("mask" if kind == "encoder" else "text", kind == "encoder-decoder")
    return str(Template(tuple(part for part in template.parts if not isinstance(part, PromptSlot))))
