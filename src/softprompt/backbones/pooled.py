"""Where the training of a sentence encoder read its states, which its checkpoint tells beside the weights.

Sentence-transformers lists the parts of a model in `modules.json`; the one that pools has a file of its own. MiniLM was
trained with the mean over its tokens and nobody ever asked what stands at [CLS]; others were trained to write there. A
head reads where the training did, unless the user says otherwise (our choice).
"""

from __future__ import annotations

from pathlib import PurePosixPath

from torch import nn

from softprompt.backbones.heads import Pooling, has_lm_head
from softprompt.backbones.source import BackboneSource
from softprompt.errors import SoftPromptError
from softprompt.guards.documents import json_value

_TOLD = "softprompt_pooling"  # in the configuration: it goes where the model goes
# Keys of the pooling part, and what its newer form calls the same.
_MODES: dict[str, Pooling] = {
    "pooling_mode_cls_token": "first",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "last",
}
_WORDS: dict[str, Pooling] = {"cls": "first", "mean": "mean", "lasttoken": "last"}


def tell_pooling(model: nn.Module, source: BackboneSource) -> None:
    """Note at a model without a language-model head where its training read its states, if the checkpoint says so."""
    found = None if has_lm_head(model) else _read(source)
    if found is not None:
        setattr(model.config, _TOLD, found)


def told_pooling(model: nn.Module) -> Pooling | None:
    """Where a model's training read its states; None where nobody told."""
    found: Pooling | None = getattr(model.config, _TOLD, None)
    return found


def _read(source: BackboneSource) -> Pooling | None:
    """What the checkpoint says; None where it says nothing, or something that a head here does not do."""
    parts = _json(source, "modules.json")
    for part in parts if isinstance(parts, list) else []:
        kind, path = (part.get(key) for key in ("type", "path")) if isinstance(part, dict) else (None, None)
        if not (isinstance(kind, str) and kind.endswith("Pooling") and isinstance(path, str)):
            continue
        place = PurePosixPath(path)
        if place.is_absolute() or ".." in place.parts:
            return None
        told = _json(source, str(place / "config.json"))
        return _mode(told) if isinstance(told, dict) else None
    return None


def _mode(told: dict[str, object]) -> Pooling | None:
    word = told.get("pooling_mode")
    if isinstance(word, str):
        return _WORDS.get(word)
    modes = [key for key, value in told.items() if key.startswith("pooling_mode_") and value is True]
    return _MODES.get(modes[0]) if len(modes) == 1 else None


def _json(source: BackboneSource, name: str) -> object:
    """A file of the checkpoint as JSON; None where there is none, or what is there is no JSON."""
    path = source.find(name)
    if path is None:
        return None
    try:
        return json_value(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SoftPromptError):
        return None
