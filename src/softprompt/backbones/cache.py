"""The user's cache: what is costly to make and can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where it is: `$SOFTPROMPT_CACHE`, else `softprompt` in the user's cache."""
    own = os.environ.get("SOFTPROMPT_CACHE")
    if own:
        return Path(own).expanduser()
    user = os.environ.get("XDG_CACHE_HOME")
    return (Path(user).expanduser() if user else Path.home() / ".cache") / "softprompt"
