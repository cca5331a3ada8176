"""What a prompt's backbone is called outside of this library."""

from __future__ import annotations

from softprompt.backbones.embedded import ORIGINS
from softprompt.storage.prompt import Prompt


def base_name(prompt: Prompt) -> str | None:
    """The name by which others load the backbone: of an embedded one that of the model on the hub; None for none."""
    name = prompt.meta.get("backbone_name") or getattr(prompt.model.config, "name_or_path", "")
    return ORIGINS.get(str(name), str(name)) if name else None
