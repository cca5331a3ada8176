"""Prompt files: written whole, checked when read."""
