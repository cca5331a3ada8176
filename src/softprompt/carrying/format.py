"""What a form is: whom it refuses, and how it is written; its name stands in `names`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from softprompt.storage.prompt import Prompt


@dataclass(frozen=True)
class Format:
    """A form that prompts are carried in.

    Attributes:
        refusal: why it cannot carry a prompt, in a clause; None where it can.
        write: the prompts by name, into a folder that is there and empty.
    """

    refusal: Callable[[Prompt], str | None]
    write: Callable[[Mapping[str, Prompt], Path], None]
