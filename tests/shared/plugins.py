"""Packages that bring something of their own, as pip would have installed them, and registries that forget it again."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from softprompt.guards.registry import Registry


def forgotten(monkeypatch: pytest.MonkeyPatch, *registries: Registry[Any]) -> None:
    """Start from what the library has itself, and forget afterwards what a test made known."""
    for registry in registries:
        monkeypatch.setattr(registry, "_entries", registry._entries.copy())
        monkeypatch.setattr(registry, "_blocked", {})
        monkeypatch.setattr(registry, "_faults", None)


def installed(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    package: str,
    points: Mapping[str, Mapping[str, str]],
    files: Mapping[str, str],
) -> None:
    """Put a package where Python finds it.

    Args:
        monkeypatch: takes it away again.
        folder: an empty one.
        package: its name; its version is 1.0.
        points: entry points by group.
        files: its modules and other files by path.
    """
    about = folder / f"{package}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [
        f"[softprompt.{group}]\n" + "".join(f"{name} = {value}\n" for name, value in own.items())
        for group, own in points.items()
    ]
    (about / "entry_points.txt").write_text("\n".join(lines))
    for path, text in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(dedent(text))
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.setitem(sys.modules, module, None)  # so that it is forgotten afterwards
        del sys.modules[module]
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
