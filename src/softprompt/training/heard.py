"""Options that a user names and that no part of the run would hear: each is a fault, told before anything runs."""

from __future__ import annotations

from collections.abc import Sequence

from softprompt.errors import SoftPromptError
from softprompt.methods.base import Method
from softprompt.training.options import TrainingOptions

_OF_PROMPTS = ("learning_rate", "weight_decay")  # a head has a rate of its own, and no decay


def check_heard(method: Method, readouts: Sequence[str | None], options: TrainingOptions) -> None:
    """Make sure that what the user set has a part in the run.

    What a preset sets is left alone: it is written for several backbones at once.

    Args:
        method: of the run.
        readouts: how its answers are read: one of each of its tasks; None for one that is not known yet.
        options: the user's own.

    Raises:
        SoftPromptError: an option that has none, and which one does.
    """
    for name in sorted(options.model_fields_set):
        given, default = getattr(options, name), TrainingOptions.model_fields[name].default
        why = [None if given in (None, default) else _unheard(name, given, method, one) for one in readouts]
        if None not in why:
            raise SoftPromptError(f"{name}: {why[0]}, or leave it out")


def _unheard(name: str, given: object, method: Method, readout: str | None) -> str | None:
    """Why an option has no part, and the mend; None where it has one, or may have."""
    if name in _OF_PROMPTS and not method.trains():
        mend = "set head_learning_rate" if name == _OF_PROMPTS[0] else "choose another method"
        return f"method {method.name!r} has no weights of a prompt, of which {name} is: {mend}"
    if readout in ("text", "mask", "rows") and name == "pooling":
        return f"readout {readout!r} reads at the answer's place, and pools no states: set readout=head"
    if readout in ("text", "mask") and name == "head_learning_rate" and method.course != "mixture":
        return f"readout {readout!r} has no head to train: set readout=head"
    if readout == "head" and (name, given) == ("loss", "vocabulary"):
        return "a head's loss is always over its labels: set readout=text or mask, where the backbone can"
    return None
