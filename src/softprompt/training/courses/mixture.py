"""One fit of soft words, which start from the task's own template where they were given no prompts."""

from __future__ import annotations

from softprompt.backbones.backbone import Backbone
from softprompt.evaluation.score import Scores
from softprompt.methods.soft_words import SoftWords
from softprompt.training.courses.registry import course
from softprompt.training.courses.work import Work
from softprompt.training.named_patterns import words_alone


@course("mixture")
def mixture(work: Work) -> Scores:
    """Settle the prompts, train them with their weights, and tell what the mixture is worth."""
    method = work.method
    if isinstance(method, SoftWords) and not method.prompts:
        prompted = work.prompted
        template = words_alone(work.task, Backbone(prompted.backbone, prompted.tokenizer))
        work.replace(method=method.model_copy(update={"prompts": (template,)}))
        if not work.producer.count:
            work.show.say(
                f"  note: {method.name} trains the words of its prompts, and the task's template {template!r} has "
                "none, so that nothing of it is trained: set prompts to templates with words, as {text} It was {mask}"
            )
    found = work.fit()
    work.report.update(work.readout.report())
    return found
