"""The user's cache: what is costly to make and can be made again."""

from __future__ import annotations

import os
from pathlib import Path

from softprompt.guards.paths import path_of


def cache_folder() -> Path:
    """Where it is: `$SOFTPROMPT_CACHE`, else `softprompt` in the user's cache.

    Raises:
        SoftPromptError: what the environment names is no path that can be looked at.
    """
    own = os.environ.get("SOFTPROMPT_CACHE")
    if own:
        return path_of(own, "SOFTPROMPT_CACHE")
    user = os.environ.get("XDG_CACHE_HOME")
    return path_of(user or "~/.cache", "XDG_CACHE_HOME" if user else "the user's cache") / "softprompt"
