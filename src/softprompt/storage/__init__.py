"""Prompt files: written whole, checked when read."""

# Whoever has a stored prompt can save what it is attached to: `save_pretrained` finds its writer registered.
from softprompt.storage.attached import save_attached

__all__ = ["save_attached"]
