"""What stands in the place of a prompt, a task or a method in a public call: it is one, or there is one line."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

from softprompt.errors import SoftPromptError, quoted

T = TypeVar("T")
_MENDS = {
    "prompt": "softprompt.load(FOLDER, model, tokenizer) gives one",
    "prompts": "give a list of what softprompt.load(FOLDER, model, tokenizer) gives",
    "task": "softprompt.Task.load(NAME OR FILE) gives one",
    "tasks": "give a list of what softprompt.Task.load(NAME OR FILE) gives",
    "method": "give a name, as 'prompt_tuning', or what softprompt.method(NAME) gives",
    "name of a task": "give one of softprompt.Task.catalog(), or the path of a YAML file",
    "name of a method": "give a text, as 'prompt_tuning'",
    "rows": "task.splits().test are labelled rows, and task.rows_of(TEXTS) are those of texts",
    "folders": "give a list of paths",
    "model": "give a model of transformers, or what softprompt.load_backbone(NAME) gives",
    "arms": "give a list of words, as ['learned', 'all']",
    "seeds": "give a list of whole numbers, as [13, 21, 42]",
    "texts": "give a list of them",
    "family": "give the `model_type` of the model's configuration",
    "preset": "give a name, or the path of a YAML file",
    "teachers": "give a folder for each task's name, as {'cb': 'runs/cb'}",
}


def check_kind(caller: str, what: str, given: object, kind: type | tuple[type, ...]) -> None:
    """See that an argument is of the kind that is asked for.

    Args:
        caller: the call's name, for the message.
        what: the argument; one of those for which a mend is known.
        given: what the user gave.
        kind: that it is to be of.

    Raises:
        SoftPromptError: it is something else.
    """
    if isinstance(given, kind):
        return
    mend = _MENDS[what]
    if what == "prompt" and isinstance(getattr(given, "prompt", None), kind):  # a run
        mend = "give its .prompt"
    verb, place = ("belong", what) if what.endswith("s") else ("belongs", f"the {what}")
    raise SoftPromptError(f"{caller}: {_told(given)} stands where {place} {verb}: {mend}")


def several(caller: str, what: str, given: Iterable[T], kind: type | tuple[type, ...]) -> list[T]:
    """The members of an argument that is to hold several of a kind; see `check_kind`.

    Raises:
        SoftPromptError: it is one of them itself, it holds none, or one that is something else.
    """
    alone = isinstance(given, (kind, str, bytes, os.PathLike)) or not isinstance(given, Iterable)
    if alone or callable(getattr(given, "model_dump", None)):  # what has fields is walked over by them
        check_kind(caller, what, given, ())
    found = list(given)
    for one in found:
        check_kind(caller, what, one, kind)
    return found


def _told(given: object) -> str:
    if given is None or isinstance(given, (str, os.PathLike, int, float)):
        return quoted(given, 80)
    return f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
