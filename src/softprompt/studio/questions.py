"""A question to a prompt, as a page asks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Question(NamedTuple):
    """What one prompt is asked.

    Attributes:
        name: of its run.
        fields: the texts by the names of the task's fields; those that it lacks are left out.
        template: other words around them; empty for its own.
    """

    name: str
    fields: Mapping[str, str]
    template: str = ""
